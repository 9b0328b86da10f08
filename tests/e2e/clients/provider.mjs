// An OpenID provider that nobody here wrote, with one client: the gate. Any password is right; who somebody is comes as JSON in the
// first argument. Prints a line when it answers.

import Provider from 'oidc-provider';

const asked = JSON.parse(process.argv[2]);
const provider = new Provider(asked.issuer, {
  clients: [{
    client_id: 'gate', client_secret: asked.secret, redirect_uris: [asked.redirect], response_types: ['code'],
    grant_types: ['authorization_code'],
  }],
  claims: { openid: ['sub', 'employee'], profile: ['name'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...asked.people[id] }) }),
});
provider.listen(Number(new URL(asked.issuer).port), '127.0.0.1', () => console.log('ready'));
