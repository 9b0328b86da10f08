// What every script that drives a real browser begins with. What to do comes as JSON in the first argument.

import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';

export const asked = JSON.parse(process.argv[2]);

export async function open() {
  await mkdir(asked.shots, { recursive: true });
  return chromium.launch({
    executablePath: asked.chromium,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}
