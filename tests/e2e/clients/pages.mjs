// Walks through every page for people at a phone's and at a desk's width, in light and in dark, and has axe-core look at each.
// Prints what it found as one JSON line.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { asked, open } from './chromium.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await open();

const WIDTHS = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } };
const seen = [];
const languages = new Set();
const complaints = [];
try {
  const page = await browser.newPage({ locale: asked.locale });
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => { if (/Content Security Policy|violates/.test(message.text())) complaints.push(message.text()); });

  const look = async (name) => {
    await page.locator('h1').waitFor();
    languages.add(await page.locator('html').getAttribute('lang'));
    const broken = await page.locator('img').evaluateAll((images) => images.filter((image) => !image.naturalWidth).length);
    if (broken || (asked.logo && !(await page.locator('header img').count()))) complaints.push(`${name}: no logo`);
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
  };
  const button = (value) => page.locator(`[name=do][value=${value}]`);
  const logIn = async (username, password) => {
    await page.locator('[name=username]').fill(username);
    await page.locator('[name=password]').fill(password);
    // Nobody needs a mouse.
    await page.keyboard.press('Enter');
  };

  await page.goto(asked.authorize);
  await look('login');
  await logIn('carter', 'wrong');
  await page.locator('[role=alert]').waitFor();
  await look('login-failed');
  await logIn('carter', asked.password);
  await page.locator('[name=name]').waitFor();
  await look('picker');
  await page.locator('[name=name]').fill('Okafor');
  await page.keyboard.press('Enter');
  await page.locator('[name=patient]').first().waitFor();
  await look('picker-found');
  await page.locator('[name=patient][value=ben]').press('Space');
  await button('choose').press('Enter');
  await page.locator('[name=encounter]').first().waitFor();
  await look('encounter');
  await page.locator('[name=encounter]').first().press('Space');
  await button('choose').press('Enter');
  await button('allow').waitFor();
  await look('consent');

  await page.goto(asked.error);
  await look('error');

  await page.goto(asked.manage);
  await look('manage-login');
  await logIn('amy', asked.password);
  await button('end').waitFor();
  await look('manage');
  await button('end').press('Enter');
  await page.locator('[role=status]').waitFor();
  await look('manage-ended');
  const told = { seen, complaints, languages: [...languages] };
  if (asked.logo) {
    // Opened by itself, a picture is a page of the gate's origin.
    const alone = await browser.newPage();
    await alone.goto(asked.logo);
    told.ran = await alone.evaluate(() => document.documentElement.getAttribute('data-ran'));
  }
  console.log(JSON.stringify(told));
} finally {
  await browser.close();
}
