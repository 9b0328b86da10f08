// How each app made of openid-client begins: it prints the authorization URL, reads from standard input the URL that the browser was
// sent back to, and has its tokens.

import { createInterface } from 'node:readline/promises';
import * as openid from 'openid-client';

/** The next line from standard input, after `told` was printed. */
export async function answerTo(told) {
  console.log(told);
  const answers = createInterface({ input: process.stdin });
  const answer = await answers.question('');
  answers.close();
  return answer;
}

/** The tokens of a launch for `scope`; `checks` are further ones of the library's, such as an expected nonce. */
export async function launched(config, fhir, redirectUri, scope, checks = {}) {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const expectedState = openid.randomState();
  const authorize = openid.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope,
    state: expectedState,
    ...(checks.expectedNonce && { nonce: checks.expectedNonce }),
    aud: fhir,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const called = new URL(await answerTo(authorize.href));
  return openid.authorizationCodeGrant(config, called, { pkceCodeVerifier, expectedState, ...checks });
}
