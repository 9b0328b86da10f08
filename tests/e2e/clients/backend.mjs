// A SMART Backend Services client made of openid-client alone; prints what it got as one JSON line.
// usage: node backend.mjs ISSUER FHIR_BASE CLIENT_ID KID KEY.pem

import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const [issuer, fhir, clientId, kid, keyFile] = process.argv.slice(2);
const der = createPrivateKey(await readFile(keyFile)).export({ type: 'pkcs8', format: 'der' });
const key = await crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-384' }, false, ['sign']);

const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.PrivateKeyJwt({ key, kid }), {
  algorithm: 'oauth2',
  execute: [openid.allowInsecureRequests],
});
const tokens = await openid.clientCredentialsGrant(config, { scope: 'system/Observation.rs' });

const answer = await openid.fetchProtectedResource(
  config,
  tokens.access_token,
  new URL(`${fhir}/Observation?_count=100`),
  'GET',
);
if (answer.status !== 200) throw new Error(`the FHIR side answers ${answer.status}`);
const bundle = await answer.json();

const request = new Request(fhir, { headers: { authorization: `Bearer ${tokens.access_token}` } });
const claims = await oauth.validateJwtAccessToken(config.serverMetadata(), request, fhir, {
  [oauth.allowInsecureRequests]: true,
});

console.log(JSON.stringify({ scope: tokens.scope, claims, observations: bundle.entry.length }));
