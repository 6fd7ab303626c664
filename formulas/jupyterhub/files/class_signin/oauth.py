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

# Seconds that a provider's answer to discovery is believed, and that the hub waits for any answer.
DISCOVERY_AGE = 3600
TIMEOUTS: dict[str, Any] = {"connect_timeout": 5, "request_timeout": 15}


class LoginHandler(QuietHandler, OAuthLoginHandler):
    """Sends the student to the provider, once it is known where that is."""

    async def get(self) -> None:
        """Redirect."""
        await self.authenticator.ready()
        super().get()


class CallbackHandler(Onward, QuietHandler, OAuthCallbackHandler):
    """Takes the student back from the provider."""

    def check_arguments(self) -> None:
        """Look first whether this browser asked: what anybody can write into an address is not shown to students."""
        self.check_state()
        self.check_error()
        self.check_code()

    def check_error(self) -> None:
        """Refuse with advice who comes back without having signed in."""
        if self.get_argument("error", ""):
            self.log.warning("The provider sent somebody back: %.80r", self.get_argument("error"))
            service = self.authenticator.login_service
            raise Refused(
                403,
                "Sign-in not finished",
                f"{service} did not sign you in: {self.get_argument('error_description', 'no reason given')}. "
                f"Try once more from the start. {self.authenticator.help()}",
            )

    def check_state(self) -> None:
        """Refuse with advice a page that was open for too long, or an address that somebody else made."""
        try:
            super().check_state()
        except HTTPError as problem:
            raise Refused(
                problem.status_code,
                "Sign-in has run out",
                "Open the course's address once more and sign in from there. If it happens again, let your browser "
                f"keep cookies for this site. {self.authenticator.help()}",
            ) from problem


class ClassOAuth(ClassAuthenticator, OAuthenticator):
    """The provider says who it is; the roster and the machine's accounts say whether that one gets in."""

    login_handler = LoginHandler
    callback_handler = CallbackHandler

    @default("http_request_kwargs")
    def _timeouts(self) -> dict[str, int]:
        return TIMEOUTS

    async def ready(self) -> None:
        """Have all addresses of the provider."""

    async def authenticate(self, handler: Any, data: Any = None, **_: Any) -> dict[str, Any] | None:
        """Return the account of whom the provider vouches for; raise Refused for everybody else."""
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
        """Return by what the roster may know the person; raise Refused for what the provider does not vouch for."""
        raise NotImplementedError

    def email(self, person: dict[str, Any], verified: Any) -> str:
        """Return the person's address if there is one and it is really the person's."""
        address = person.get("email")
        if not isinstance(address, str) or "@" not in address:
            raise Refused(
                403,
                "No email address",
                f"{self.login_service} did not tell your email address, by which this course knows you. {self.help()}",
            )
        if str(verified).lower() != "true":
            raise Refused(
                403,
                "Email address not verified",
                f"{self.login_service} has not verified yet that {address} is yours. Verify it there, then sign in "
                f"again. {self.help()}",
            )
        return address

    def silent(self, problem: Exception) -> Refused:
        """The error for a provider that does not answer."""
        self.log.error("The provider does not answer: %s", type(problem).__name__)
        return Refused(
            503,
            f"{self.login_service} does not answer",
            f"Wait a minute, then try again: your files are safe, and a server that runs goes on. {self.help()}",
        )

    def misconfigured(self, problem: Exception) -> Refused:
        """The error for a provider that answers, but not to us: a wrong secret or redirect address."""
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
    """Microsoft Entra ID, of one tenant: only there is an address what the college says it is."""

    def names(self, person: dict[str, Any]) -> list[str]:
        """Return the address and the sign-in name, both given by the tenant."""
        if person.get("tid") != self.tenant_id:
            raise Refused(
                403,
                "Not an account of the college",
                f"This is an account of another organisation. Sign out at Microsoft, then sign in with your college's "
                f"account. {self.help()}",
            )
        # Says of a guest's address whether its owner was verified; members' addresses are the tenant's own.
        address = person.get("email") if str(person.get("xms_edov", True)).lower() in {"true", "1"} else None
        names = [name for name in (address, person.get("preferred_username")) if isinstance(name, str) and "@" in name]
        return names or [self.email({}, verified=False)]


class ClassOIDC(ClassOAuth, GenericOAuthenticator):
    """Any OpenID Connect provider, known by its issuer alone."""

    issuer = Unicode(config=True, help="The provider's address, below which /.well-known/openid-configuration is.")
    claim = Unicode("email", config=True, help="Which of the provider's facts the roster knows a person by.")
    _discovered = 0.0

    async def ready(self) -> None:
        """Ask the provider for its addresses, at the first sign-in: the hub's start must not wait for it."""
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
        """Return the verified address, or the fact that the course file names instead."""
        if self.claim == "email":
            return [self.email(person, person.get("email_verified", True))]
        value = person.get(self.claim)
        if not isinstance(value, str) or not value:
            raise Refused(
                403,
                "No name",
                f"{self.login_service} did not tell the hub who you are ({self.claim}). {self.help()}",
            )
        return [value]
