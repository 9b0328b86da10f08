// A SMART app that is a backend service as well, made of oauth4webapi alone; its key proves who it is everywhere. Prints the
// authorization URL, reads from standard input the URL that the browser was sent back to, and prints what it got as one JSON line.
// usage: node strict.mjs ISSUER FHIR_BASE CLIENT_ID KID KEY.pem REDIRECT_URI SCOPE

import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as oauth from 'oauth4webapi';
import { answerTo } from './launch.mjs';

const [issuer, fhir, clientId, kid, keyFile, redirectUri, scope] = process.argv.slice(2);
const der = createPrivateKey(await readFile(keyFile)).export({ type: 'pkcs8', format: 'der' });
const key = await crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-384' }, false, ['sign']);
const http = { [oauth.allowInsecureRequests]: true };
const client = { client_id: clientId };
const proof = oauth.PrivateKeyJwt({ key, kid });

const found = await oauth.discoveryRequest(new URL(issuer), http);
const as = await oauth.processDiscoveryResponse(new URL(issuer), found);

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const authorize = new URL(as.authorization_endpoint);
authorize.search = new URLSearchParams({
  response_type: 'code',
  client_id: clientId,
  redirect_uri: redirectUri,
  scope,
  state,
  nonce,
  aud: fhir,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
});
const called = oauth.validateAuthResponse(as, client, new URL(await answerTo(authorize.href)), state);

const redeemed = await oauth.authorizationCodeGrantRequest(as, client, proof, called, redirectUri, verifier, http);
const first = await oauth.processAuthorizationCodeResponse(as, client, redeemed, { expectedNonce: nonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, redeemed, http);
const { sub } = oauth.getValidatedIdTokenClaims(first);

const refresh = async (token) =>
  oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, proof, token, http));
const second = await refresh(first.refresh_token);
const person = await oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, second.access_token, http));

const asked = new Request(fhir, { headers: { authorization: `Bearer ${second.access_token}` } });
const claims = await oauth.validateJwtAccessToken(as, asked, fhir, http);
const read = await oauth.protectedResourceRequest(second.access_token, 'GET', new URL(`${fhir}/Patient/${second.patient}`), undefined, undefined, http);

const introspect = async (token) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, proof, token, http));
const before = await introspect(second.refresh_token);
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, second.refresh_token, http));
const after = await refresh(second.refresh_token).catch((error) => error.error);

const asService = { scope: 'system/Patient.rs' };
const service = await oauth.processClientCredentialsResponse(
  as,
  client,
  await oauth.clientCredentialsGrantRequest(as, client, proof, asService, http),
);

console.log(
  JSON.stringify({
    patient: second.patient,
    scope: second.scope,
    person,
    claims: { sub: claims.sub, client_id: claims.client_id },
    status: read.status,
    before: before.active,
    after,
    service: { scope: service.scope, refresh: 'refresh_token' in service },
  }),
);
