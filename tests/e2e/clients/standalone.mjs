// A public SMART app made of openid-client alone. Prints the authorization URL, reads from standard input the URL that the
// browser was sent back to, and prints what it got as one JSON line.
// usage: node standalone.mjs ISSUER FHIR_BASE CLIENT_ID REDIRECT_URI SCOPE

import * as openid from 'openid-client';
import { launched } from './launch.mjs';

const [issuer, fhir, clientId, redirectUri, scope] = process.argv.slice(2);
const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.None(), {
  algorithm: 'oauth2',
  execute: [openid.allowInsecureRequests],
});

const tokens = await launched(config, fhir, redirectUri, scope);
const read = async () =>
  (await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${fhir}/Patient/${tokens.patient}`), 'GET')).status;
const before = await read();
await openid.tokenRevocation(config, tokens.access_token);
const after = await read().catch((error) => error.response?.status ?? error.cause?.[0]?.parameters ?? String(error));

console.log(JSON.stringify({ patient: tokens.patient, scope: tokens.scope, before, after }));
