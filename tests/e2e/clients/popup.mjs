// A person at a real browser whose app stays open and has them log in in a window beside it. Prints what the app shows as one JSON line.

import { asked, open } from './chromium.mjs';

const browser = await open();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(asked.start);
  const opened = page.waitForEvent('popup');
  await page.locator('button').click();
  const beside = await opened;
  const closed = beside.waitForEvent('close');
  await beside.locator('[name=username]').fill(asked.username);
  await beside.locator('[name=password]').fill(asked.password);
  await beside.keyboard.press('Enter');
  await beside.locator('[name=do][value=allow]').click();
  await page.waitForFunction(() => document.getElementById('result')?.textContent);
  await closed;
  const { patient, user } = JSON.parse(await page.locator('#result').innerText());
  console.log(JSON.stringify({ patient, user }));
} finally {
  await browser.close();
}
