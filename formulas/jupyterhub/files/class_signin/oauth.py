"""Sign-in at Google, GitHub, Microsoft, or any OpenID Connect provider; oauthenticator does the protocol."""

import time
from typing import Any

from jwt import PyJWTError
from oauthenticator.azuread import AzureAdOAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.github import GitHubOAuthenticator
from oauthenticator.google import GoogleOAuthenticator
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthenticator, OAuthLoginHandler
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from traitlets import Unicode, default

from class_signin.accounts import ClassAuthenticator, QuietHandler, Refused
from class_signin.onward import Onward

# Seconds that a provider's discovery answer is kept, and that the hub waits for an answer.
DISCOVERY_AGE = 3600
TIMEOUTS: dict[str, Any] = {"connect_timeout": 5, "request_timeout": 15}


class LoginHandler(QuietHandler, OAuthLoginHandler):
    """Sends the student to the provider, after discovery of its addresses."""

    async def get(self) -> None:
        """Redirect."""
        await self.authenticator.ready()
        super().get()


class CallbackHandler(Onward, QuietHandler, OAuthCallbackHandler):
    """Takes the student back from the provider."""

    def check_arguments(self) -> None:
        """Check first that this browser asked: anybody can write text into an address, and it must not be shown."""
        self.check_state()
        self.check_error()
        self.check_code()

    def check_error(self) -> None:
        """Refuse, with advice, a person who comes back without having signed in."""
        if self.get_argument("error", ""):
            self.log.warning("The provider sent somebody back: %.80r", self.get_argument("error"))
            service = self.authenticator.login_service
            raise Refused(
                403,
                "Sign-in not finished",
                f"{service} did not sign you in: {self.get_argument('error_description', 'no reason given')}. "
                f"Start again. {self.authenticator.help()}",
            )

    def check_state(self) -> None:
        """Refuse, with advice, a page that was open too long, or an address that somebody else made."""
        try:
            super().check_state()
        except HTTPError as problem:
            raise Refused(
                problem.status_code,
                "Sign-in has run out",
                "Open the course's address again and sign in from there. If it happens again, let your browser "
                f"keep cookies for this site. {self.authenticator.help()}",
            ) from problem


class ClassOAuth(ClassAuthenticator, OAuthenticator):
    """The provider says who a person is; the roster and the machine's accounts decide whether they may sign in."""

    login_handler = LoginHandler
    callback_handler = CallbackHandler

    @default("http_request_kwargs")
    def _timeouts(self) -> dict[str, int]:
        return TIMEOUTS

    async def ready(self) -> None:
        """Make sure that all addresses of the provider are known."""

    async def authenticate(self, handler: Any, data: Any = None, **_: Any) -> dict[str, Any] | None:
        """Return the account of the person whom the provider confirms; raise Refused for everybody else."""
        if not isinstance(handler, CallbackHandler):
            return await self.by_password(handler, data)
        await self.ready()
        parameters = self.build_access_tokens_request_params(handler)
        try:
            person = await self.token_to_user(await self.get_token_info(handler, parameters))
        except HTTPClientError as problem:
            raise self.silent(problem) if problem.code >= 500 else self.misconfigured(problem) from None
        except (OSError, ValueError) as problem:
            raise self.silent(problem) from problem
        except (HTTPError, PyJWTError, KeyError) as problem:
            # Its text may quote what the provider sent, so it is not passed on.
            raise self.misconfigured(problem) from None
        return await self.by_identity(*self.names(person or {}))

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the names by which the roster may have the person; raise Refused if the provider confirms none."""
        raise NotImplementedError

    def email(self, person: dict[str, Any], verified: Any) -> str:
        """Return the person's address; raise Refused if there is none or it is not verified."""
        address = person.get("email")
        if not isinstance(address, str) or "@" not in address:
            raise Refused(
                403,
                "No email address",
                f"{self.login_service} did not send your email address, and this course finds you by it. {self.help()}",
            )
        if str(verified).lower() != "true":
            raise Refused(
                403,
                "Email address not verified",
                f"{self.login_service} has not yet verified that {address} is yours. Verify it there, then sign in "
                f"again. {self.help()}",
            )
        return address

    def silent(self, problem: Exception) -> Refused:
        """Return the error for a provider that does not answer."""
        self.log.error("The provider does not answer: %s", type(problem).__name__)
        return Refused(
            503,
            f"{self.login_service} does not answer",
            f"Wait a minute, then try again. Your files are safe, and a running server continues. {self.help()}",
        )

    def misconfigured(self, problem: Exception) -> Refused:
        """Return the error for a provider that refuses the hub: a wrong secret or redirect address."""
        code = getattr(problem, "code", type(problem).__name__)
        self.log.error("The provider refuses the hub (%s): are client id, secret and redirect URI right?", code)
        return Refused(
            500,
            "Sign-in is not set up right",
            f"{self.login_service} does not accept this hub. You can do nothing about it. {self.help()}",
        )


class ClassGoogle(ClassOAuth, GoogleOAuthenticator):
    """Google; with ``hosted_domain`` only accounts that the college manages."""

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the verified address."""
        address = self.email(person, person.get("verified_email", person.get("email_verified")))
        if self.hosted_domain and person.get("hd", "").lower() not in self.hosted_domain:
            raise Refused(
                403,
                "Not an account of the college",
                f"{address} is a private account. Sign out at Google, then sign in with your account of "
                f"{' or '.join(self.hosted_domain)}. {self.help()}",
            )
        return [address]


class ClassGitHub(ClassOAuth, GitHubOAuthenticator):
    """GitHub, by login: its public profile needs no permission of the student."""

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the login."""
        return [str(person.get("login", ""))]


class ClassMicrosoft(ClassOAuth, AzureAdOAuthenticator):
    """Microsoft Entra ID, of one tenant: in another tenant, addresses are not given by the college."""

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the address and the sign-in name, both given by the tenant."""
        if person.get("tid") != self.tenant_id:
            raise Refused(
                403,
                "Not an account of the college",
                f"This is an account of another organisation. Sign out at Microsoft, then sign in with your college's "
                f"account. {self.help()}",
            )
        # xms_edov says whether a guest's address was verified; members' addresses are the tenant's own.
        address = person.get("email") if str(person.get("xms_edov", True)).lower() in {"true", "1"} else None
        names = [name for name in (address, person.get("preferred_username")) if isinstance(name, str) and "@" in name]
        return names or [self.email({}, verified=False)]


class ClassOIDC(ClassOAuth, GenericOAuthenticator):
    """Any OpenID Connect provider; its issuer is enough."""

    issuer = Unicode(config=True, help="The provider's address, below which /.well-known/openid-configuration is.")
    claim = Unicode("email", config=True, help="The provider's claim by which the roster finds a person.")
    _discovered = 0.0

    async def ready(self) -> None:
        """Ask the provider for its addresses at the first sign-in: the hub's start must not wait for it."""
        if self._discovered and time.monotonic() - self._discovered < DISCOVERY_AGE:
            return
        try:
            found = await self.httpfetch(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        except (HTTPClientError, OSError, ValueError) as problem:
            if self._discovered:
                return
            raise self.silent(problem) from problem
        addresses = [found.get(f"{name}_endpoint", "") for name in ("authorization", "token", "userinfo")]
        if found.get("issuer") != self.issuer or not all(one.startswith("https://") for one in addresses):
            self.log.error("The provider at %s calls itself %.200r", self.issuer, found.get("issuer"))
            raise self.misconfigured(HTTPError(500))
        self.authorize_url, self.token_url, self.userdata_url = addresses
        self._discovered = time.monotonic()

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the verified address, or the claim that the course file names instead."""
        if self.claim == "email":
            return [self.email(person, person.get("email_verified", True))]
        value = person.get(self.claim)
        if not isinstance(value, str) or not value:
            raise Refused(
                403,
                "No name",
                f"{self.login_service} did not send the hub your name ({self.claim}). {self.help()}",
            )
        return [value]
