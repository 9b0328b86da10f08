// Has axe-core look at a page at a phone's and at a desk's width, in light and in dark, and keeps a picture of each.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { asked } from './chromium.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } };

// What was looked at, and what there was to complain of.
export const seen = [];
export const complaints = [];

export function watch(page) {
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => { if (/Content Security Policy|violates/.test(message.text())) complaints.push(message.text()); });
}

export async function look(page, name) {
  for (const [width, viewport] of Object.entries(WIDTHS)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${asked.shots}/${asked.name}${name}-${width}-${colorScheme}.png`, fullPage: true });
      // Evaluated by the debugger, which the page's policy does not bind.
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      complaints.push(...violations.map((it) => `${name} ${width} ${colorScheme}: ${it.id}: ${it.nodes.map((node) => node.html).join(' ')}`));
    }
    const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (content > window_) complaints.push(`${name} ${width}: ${content} wide in ${window_}`);
  }
  seen.push(name);
}
