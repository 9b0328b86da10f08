// Walks through every page for people, and has axe-core look at each.
// Prints what it found as one JSON line.

import { asked, open } from './chromium.mjs';
import { complaints, look as lookAt, seen, watch } from './look.mjs';

const browser = await open();

const languages = new Set();
try {
  const page = await browser.newPage({ locale: asked.locale });
  watch(page);

  const look = async (name) => {
    await page.locator('h1').waitFor();
    languages.add(await page.locator('html').getAttribute('lang'));
    const broken = await page.locator('img').evaluateAll((images) => images.filter((image) => !image.naturalWidth).length);
    if (broken || (asked.logo && !(await page.locator('header img').count()))) complaints.push(`${name}: no logo`);
    await lookAt(page, name);
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
