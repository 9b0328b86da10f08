// A SMART app as small as it can be: standalone launch with PKCE, one patient's chart, and two requests that the gate refuses.
// The token is kept in this page's memory only; state and PKCE verifier wait in sessionStorage for the way back from the gate.

const settings = await (await fetch('settings.json')).json();
const redirectUri = location.origin + '/';
const byId = (id) => document.getElementById(id);
const show = (id) => { byId(id).hidden = false; };

/** An element with its texts and children. */
function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

// --- the launch ---

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const discover = async () => (await fetch(`${settings.fhir}/.well-known/smart-configuration`)).json();

/** Sends the browser to the gate, which logs the person in and asks them. */
async function launch() {
  const [state, verifier, gate] = [random(), random(), await discover()];
  sessionStorage.setItem('launch', JSON.stringify({ state, verifier }));
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  location.assign(`${gate.authorization_endpoint}?${new URLSearchParams({
    response_type: 'code', client_id: settings.client, redirect_uri: redirectUri, scope: settings.scope, state, aud: settings.fhir,
    code_challenge: base64url(new Uint8Array(challenge)), code_challenge_method: 'S256',
  })}`);
}

/** Exchanges the code in the address for a token; none where the person said no. */
async function comeBack(answer) {
  const begun = JSON.parse(sessionStorage.getItem('launch') ?? '{}');
  sessionStorage.removeItem('launch');
  history.replaceState(null, '', '/');
  const gate = await discover();
  if (answer.get('state') !== begun.state || answer.get('iss') !== gate.issuer) throw new Error('This login was not begun here.');
  if (answer.has('error')) {
    byId('denied').textContent = answer.get('error') === 'access_denied'
      ? `The gate gave the app nothing: ${answer.get('error_description')}. All that the app was told is “access_denied”.`
      : `The gate says ${answer.get('error')}: ${answer.get('error_description')}.`;
    show('denied');
    return null;
  }
  const body = new URLSearchParams({
    grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: redirectUri, client_id: settings.client,
    code_verifier: begun.verifier,
  });
  const response = await fetch(gate.token_endpoint, { method: 'POST', body });
  const tokens = await response.json();
  if (!response.ok) throw new Error(`The gate gives no token: ${tokens.error_description}.`);
  return tokens;
}

// --- the chart ---

const text = (concept) => concept?.text ?? concept?.coding?.[0]?.display ?? concept?.coding?.[0]?.code ?? '';
const day = (moment) => (moment ?? '').slice(0, 10);

function value(observation) {
  const { valueQuantity, valueCodeableConcept, valueString, component } = observation;
  if (component) return component.map((part) => `${text(part.code)} ${value(part)}`).join(', ');
  return valueQuantity ? `${valueQuantity.value} ${valueQuantity.unit ?? ''}` : valueString ?? text(valueCodeableConcept);
}

/** Each part of the chart: its heading, what is asked, and how a resource becomes a row. */
const PARTS = [
  ['Conditions', 'Condition', (it) => [day(it.onsetDateTime ?? it.recordedDate), text(it.code), text(it.clinicalStatus)]],
  ['Medications', 'MedicationRequest', (it) => [day(it.authoredOn), text(it.medicationCodeableConcept), it.dosageInstruction?.[0]?.text ?? '']],
  ['Observations', 'Observation', (it) => [day(it.effectiveDateTime), text(it.code), value(it)]],
];

async function chart(tokens) {
  const read = (path) => fetch(`${settings.fhir}/${path}`, {
    headers: { Authorization: `Bearer ${tokens.access_token}`, Accept: 'application/fhir+json' }, cache: 'no-store',
  });
  byId('scope').textContent = tokens.scope;
  const patient = await read(`Patient/${tokens.patient}`);
  if (patient.ok) {
    const { name: [name], birthDate, gender, identifier } = await patient.json();
    byId('name').textContent = [...name.given, name.family].join(' ');
    byId('about').textContent = `born ${birthDate} · ${gender} · ${identifier[0].type.text} ${identifier[0].value}`;
  } else {
    byId('name').textContent = `Patient ${tokens.patient}`;
    byId('parts').append(await refusal(patient, tokens, `Patient/${tokens.patient}`));
  }
  for (const [heading, type, row] of PARTS) {
    const path = `${type}?patient=${tokens.patient}&_count=100`;
    const response = await read(path);
    byId('parts').append(element('h3', heading), response.ok ? table(await response.json(), row) : await refusal(response, tokens, path));
  }
  const ask = (path) => async () => byId('refused').replaceChildren(await refusal(await read(path), tokens, path));
  const other = settings.patients.find((id) => id !== tokens.patient);
  byId('beyond-scope').onclick = ask(`AllergyIntolerance?patient=${tokens.patient}`);
  byId('other-patient').onclick = ask(`Patient/${other}`);
  byId('end').onclick = async () => {
    const body = new URLSearchParams({ token: tokens.access_token, client_id: settings.client });
    await fetch((await discover()).revocation_endpoint, { method: 'POST', body });
    location.assign('/');
  };
  show('chart');
}

function table(bundle, row) {
  const rows = (bundle.entry ?? []).map((entry) => row(entry.resource)).sort(([a], [b]) => b.localeCompare(a));
  return rows.length ? element('table', element('tbody', ...rows.map((cells) => element('tr', ...cells.map((cell) => element('td', cell))))))
    : element('p', 'Nothing.');
}

/** What the gate said to a request that it did not carry out, and where its operator reads more. */
async function refusal(response, tokens, path) {
  const outcome = await response.json();
  const { details } = outcome.issue[0];
  const id = response.headers.get('X-Request-Id');
  const explain = `${settings.smartgate} explain --scope '${tokens.scope}' --patient ${tokens.patient} GET '${path}'`;
  const rows = [
    ['Asked', element('code', `GET ${path}`)],
    ['Status', element('code', String(response.status))],
    ['OperationOutcome', details.text],
    ['Rule', element('code', details.coding[0].code)],
    ['WWW-Authenticate', element('code', response.headers.get('WWW-Authenticate') ?? 'none: the token is good, and the record might not exist')],
    ['In the audit log, by the request’s id', element('pre', `grep -e ${id} ${settings.audit}`)],
    ['The same question to the gate’s rules', element('pre', explain)],
  ];
  const made = element('div', element('dl', ...rows.flatMap(([term, told]) => [element('dt', term), element('dd', told)])));
  made.className = 'refusal';
  return made;
}

// --- the page ---

try {
  byId('fhir').textContent = settings.fhir;
  byId('people').append(...settings.people.map((cells) => element('tr', ...cells.map((cell) => element('td', cell)))));
  byId('begin').onclick = launch;
  const answer = new URLSearchParams(location.search);
  const tokens = answer.has('state') ? await comeBack(answer) : null;
  await (tokens ? chart(tokens) : show('start'));
} catch (error) {
  byId('problem').textContent = error.message;
  show('problem');
  show('start');
}
