// Shows the admin page to axe-core, and a decision that was searched for by keyboard. Prints what it found as one JSON line.

import { asked, open } from './chromium.mjs';
import { complaints, look, seen, watch } from './look.mjs';

const browser = await open();
try {
  const page = await browser.newPage({ httpCredentials: { username: 'operator', password: asked.token } });
  watch(page);
  await page.goto(asked.admin);
  await page.locator('h1').waitFor();
  await look(page, 'admin');
  await page.locator('[name=request_id]').fill(asked.request);
  await page.keyboard.press('Enter');
  await page.locator('dl.decision').waitFor();
  await look(page, 'admin-found');
  console.log(JSON.stringify({ seen, complaints }));
} finally {
  await browser.close();
}
