// A person at the demo's app, in a window as wide as a phone: says no once, then logs in, chooses, agrees, looks at the chart and
// asks for what the gate refuses. Prints what the app showed as one JSON line.

import { asked, open } from './chromium.mjs';

const browser = await open();

const complaints = [];
try {
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => { if (/Content Security Policy|violates/.test(message.text())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const look = async (name) => {
    await page.screenshot({ path: `${asked.shots}/${asked.username}-${name}.png`, fullPage: true });
    const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (content > window_) complaints.push(`${name}: ${content} wide in ${window_}`);
  };
  const answer = async (what) => {
    await page.locator('#begin').click();
    await page.locator('[name=username]').fill(asked.username);
    await page.locator('[name=password]').fill(asked.password);
    await page.keyboard.press('Enter');
    if (asked.patient) {
      await page.locator('[name=name]').fill(asked.patient.name);
      await page.keyboard.press('Enter');
      await page.locator(`[name=patient][value="${asked.patient.id}"]`).check();
      await page.locator('[name=do][value=choose]').click();
    }
    await page.locator(`[name=do][value=${what}]`).click();
  };
  const refused = async (button) => {
    await page.locator('#refused').evaluate((it) => it.replaceChildren());
    await page.locator(button).click();
    await page.locator('#refused dl').waitFor();
    await look(button.slice(1));
    return page.locator('#refused').innerText();
  };

  await page.goto(asked.start);
  const people = await page.locator('#people').innerText();
  await answer('deny');
  await page.locator('#denied').waitFor();
  await look('denied');
  const denied = await page.locator('#denied').innerText();
  await answer('allow');
  await page.locator('#chart').waitFor();
  await look('chart');
  const chart = await page.locator('#chart').innerText();
  const beyondScope = await refused('#beyond-scope');
  const otherPatient = await refused('#other-patient');
  await page.locator('#end').click();
  await page.locator('#begin').waitFor();
  console.log(JSON.stringify({ people, denied, chart, beyondScope, otherPatient, complaints }));
} finally {
  await browser.close();
}
