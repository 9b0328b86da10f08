// A public SMART app made of openid-client alone. Prints the authorization URL, reads from standard input the URL that the
// browser was sent back to, and prints what it got as one JSON line.
// usage: node standalone.mjs ISSUER FHIR_BASE CLIENT_ID REDIRECT_URI SCOPE

import { createInterface } from 'node:readline/promises';
import * as openid from 'openid-client';

const [issuer, fhir, clientId, redirectUri, scope] = process.argv.slice(2);
const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.None(), {
  algorithm: 'oauth2',
  execute: [openid.allowInsecureRequests],
});

const pkceCodeVerifier = openid.randomPKCECodeVerifier();
const expectedState = openid.randomState();
const authorize = openid.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope,
  state: expectedState,
  aud: fhir,
  code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
});
console.log(authorize.href);

const answers = createInterface({ input: process.stdin });
const called = new URL(await answers.question(''));
answers.close();

const tokens = await openid.authorizationCodeGrant(config, called, { pkceCodeVerifier, expectedState });
const read = async () =>
  (await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${fhir}/Patient/${tokens.patient}`), 'GET')).status;
const before = await read();
await openid.tokenRevocation(config, tokens.access_token);
const after = await read().catch((error) => error.response?.status ?? error.cause?.[0]?.parameters ?? String(error));

console.log(JSON.stringify({ patient: tokens.patient, scope: tokens.scope, before, after }));
