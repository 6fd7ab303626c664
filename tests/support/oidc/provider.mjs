// A provider of identities for tests: panva's oidc-provider over HTTPS, beside its own addresses those of GitHub's and
// Google's profiles. Its argument is a JSON file: {issuer, address, port, certificate, key, client: {id, secret,
// redirect_uri}, people: {sub: {claims}}}; people are read anew at each sign-in. Prints "ready" once it listens; ends with
// its standard input.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const read = () => JSON.parse(readFileSync(process.argv[2], 'utf8'));
const settings = read();

const provider = new Provider(settings.issuer, {
  clients: [{
    client_id: settings.client.id,
    client_secret: settings.client.secret,
    redirect_uris: [settings.client.redirect_uri],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  scopes: ['openid', 'email', 'profile'],
  // Microsoft says in the ID token itself who somebody is.
  conformIdTokenClaims: false,
  claims: {
    openid: ['sub', 'tid', 'xms_edov'],
    email: ['email', 'email_verified'],
    profile: ['preferred_username', 'name'],
  },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['only for tests'] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  async findAccount(_, sub) {
    const claims = read().people[sub];
    return claims && { accountId: sub, claims: async () => ({ sub, ...claims }) };
  },
});

async function form(request) {
  let text = '';
  for await (const part of request) text += part;
  return new URLSearchParams(text);
}

// Profiles as GitHub and Google give them, for whoever shows an access token.
const profiles = {
  '/github/user': ({ login }) => ({ login, id: 1, email: null }),
  '/google/userinfo': ({ email, email_verified: verified, hd }) => ({ id: '1', email, verified_email: verified, hd }),
};

provider.use(async (ctx, next) => {
  const profile = profiles[ctx.path];
  if (profile) {
    const token = await provider.AccessToken.find((ctx.get('authorization') || '').split(' ')[1] || '');
    ctx.status = token ? 200 : 401;
    ctx.body = token ? profile(read().people[token.accountId]) : { message: 'Bad credentials' };
    return;
  }
  const [, uid] = /^\/interaction\/([\w-]+)$/.exec(ctx.path) ?? [];
  if (!uid) {
    await next();
    return;
  }
  // The sign-in form: who one is, without a password; consent goes with it.
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    ctx.type = 'html';
    ctx.body = `<form method="post" action="/interaction/${uid}"><input name="person"></form>`;
    return;
  }
  const accountId = (await form(ctx.req)).get('person');
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope('openid email profile');
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, accountId
    ? { login: { accountId, remember: false }, consent: { grantId: await grant.save() } }
    : { error: 'access_denied', error_description: 'the person said no' });
});

const tls = { cert: readFileSync(settings.certificate), key: readFileSync(settings.certificate) };
createServer(tls, provider.callback()).listen(settings.port, settings.address, () => console.log('ready'));
process.stdin.resume().on('end', () => process.exit(0));
