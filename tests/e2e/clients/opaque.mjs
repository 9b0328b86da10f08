// An authorization server that nobody here wrote: opaque tokens for one service, which the gate may ask about and the service end. What
// it says of a token besides comes as JSON in the first argument. Prints a line when it answers.

import Provider from 'oidc-provider';

const asked = JSON.parse(process.argv[2]);
const provider = new Provider(asked.issuer, {
  clients: [
    { client_id: 'gate', client_secret: asked.secret, redirect_uris: [], response_types: [], grant_types: [] },
    { client_id: 'service', client_secret: asked.secret, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === 'gate' },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, audience) => ({ audience, scope: asked.scope, accessTokenFormat: 'opaque' }),
    },
  },
  extraTokenClaims: () => asked.claims,
});
provider.listen(Number(new URL(asked.issuer).port), '127.0.0.1', () => console.log('ready'));
