// A person whose EHR launches an app several times in one browser. At each launch logs in at the provider and agrees where that is
// asked, and waits for what the app shows. Prints as one JSON line the gate's pages that were seen and what the app was told, for
// each launch, with every complaint of the browser.

import { asked, open } from './chromium.mjs';

const browser = await open();

const told = [];
const complaints = [];
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 700 } });
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => { if (/Content Security Policy|violates/.test(message.text())) complaints.push(message.text()); });
  let pages = [];
  page.on('response', (answer) => {
    const url = new URL(answer.url());
    if (url.origin === asked.gate && url.pathname.startsWith('/auth/') && answer.headers()['content-type']?.startsWith('text/html')) {
      pages.push(url.pathname);
    }
  });
  const federate = page.locator('a[href^=federate]');
  const allow = page.locator('[name=do][value=allow]');
  const result = page.locator('#result:not(:empty)');

  for (const start of asked.starts) {
    pages = [];
    await page.goto(start);
    await federate.or(allow).or(result).waitFor();
    if (await federate.isVisible()) {
      await page.screenshot({ path: `${asked.shots}/launched-login.png`, fullPage: true });
      await federate.click();
      await page.locator('[name=login]').fill(asked.login);
      await page.locator('[name=password]').fill('any');
      await page.keyboard.press('Enter');
      await page.locator('form input[name=prompt][value=consent]').waitFor({ state: 'attached' });
      await page.locator('button[type=submit]').click();
      await allow.or(result).waitFor();
    }
    if (await allow.isVisible()) {
      await allow.click();
      await result.waitFor();
    }
    const { token, ...shown } = JSON.parse(await result.innerText());
    told.push({ pages, ...shown });
  }
  console.log(JSON.stringify({ told, complaints }));
} finally {
  await browser.close();
}
