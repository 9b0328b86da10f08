// A person at a real browser: starts the app, logs in, chooses, agrees, and waits for what the app shows. Prints that as one
// JSON line, with every complaint of the browser.

import { asked, open } from './chromium.mjs';

const browser = await open();

const complaints = [];
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 700 } });
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => { if (/Content Security Policy|violates/.test(message.text())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const shot = (name) => page.screenshot({ path: `${asked.shots}/${asked.name}-${name}.png`, fullPage: true });

  await page.goto(asked.start);
  if (asked.username) {
    await page.locator('[name=username]').waitFor();
    await shot('login');
    await page.locator('[name=username]').fill(asked.username);
    await page.locator('[name=password]').fill(asked.password);
    await page.keyboard.press('Enter');
  }
  if (asked.provider) {
    await page.locator('a[href^=federate]').waitFor();
    await shot('login');
    await page.locator('a[href^=federate]').click();
    await page.locator('[name=login]').fill(asked.provider);
    await page.locator('[name=password]').fill('any');
    await page.keyboard.press('Enter');
    await page.locator('form input[name=prompt][value=consent]').waitFor({ state: 'attached' });
    await page.locator('button[type=submit]').click();
    await page.waitForURL(/\/auth\/(patient|login)/);
  }
  if (asked.patient) {
    await page.locator('[name=name]').fill(asked.patient.name);
    await page.keyboard.press('Enter');
    const choice = page.locator(`[name=patient][value="${asked.patient.id}"]`);
    await choice.check();
    await shot('picker');
    await page.locator('[name=do][value=choose]').click();
  }
  if (asked.username || asked.agrees || (asked.provider && !asked.lost)) {
    const allow = page.locator('[name=do][value=allow]');
    await allow.waitFor();
    await shot('consent');
    await allow.click();
  }
  if (!asked.revoke) {
    await page.waitForLoadState();
    await shot('end');
    console.log(JSON.stringify({ text: await page.locator('body').innerText(), complaints }));
  } else {
    await page.waitForFunction(() => document.getElementById('result')?.textContent);
    await shot('app');
    const { token, ...told } = JSON.parse(await page.locator('#result').innerText());
    const before = await page.evaluate(() => window.again?.());
    const body = new URLSearchParams({ token, client_id: 'browser-app' });
    const revoked = (await fetch(asked.revoke, { method: 'POST', body })).status;
    const after = await page.evaluate(() => window.again?.());
    console.log(JSON.stringify({ ...told, before, revoked, after, complaints }));
  }
} finally {
  await browser.close();
}
