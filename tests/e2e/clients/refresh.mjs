// A SMART app made of openid-client alone that goes on with refresh tokens. Prints the authorization URL, reads from standard
// input the URL that the browser was sent back to, and prints what it got as one JSON line.
// usage: node refresh.mjs ISSUER FHIR_BASE CLIENT_ID SECRET REDIRECT_URI SCOPE

import * as openid from 'openid-client';
import { launched } from './launch.mjs';

const [issuer, fhir, clientId, secret, redirectUri, scope] = process.argv.slice(2);
const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.ClientSecretPost(secret), {
  execute: [openid.allowInsecureRequests],
});

const first = await launched(config, fhir, redirectUri, scope, { expectedNonce: openid.randomNonce() });
const second = await openid.refreshTokenGrant(config, first.refresh_token);
const narrower = await openid.refreshTokenGrant(config, second.refresh_token, { scope: 'openid patient/Patient.r' });
const person = await openid.fetchUserInfo(config, narrower.access_token, first.claims().sub);
const told = await openid.tokenIntrospection(config, narrower.refresh_token);
await openid.tokenRevocation(config, narrower.refresh_token);
const refused = await openid.refreshTokenGrant(config, narrower.refresh_token).catch((error) => error.error);

console.log(
  JSON.stringify({
    patient: second.patient,
    scopes: [first.scope, second.scope, narrower.scope],
    different: new Set([first, second, narrower].map((tokens) => tokens.refresh_token)).size,
    subjects: [first.claims().sub, second.claims().sub],
    person,
    told: { active: told.active, token_type: told.token_type },
    refused,
    access: narrower.access_token,
  }),
);
