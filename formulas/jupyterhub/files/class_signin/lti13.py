"""Sign-in from the college's learning management system (LTI 1.3): the LMS says who a person is, in a signed message.

ltiauthenticator does the protocol. Added here: cookies that browsers send after a visit to the LMS; each launch works
once; the platform's keys are fetched without blocking the hub; and only a launch signs in.
"""

import html
import json
import time
from typing import Any

import jwt
from jupyterhub import log
from ltiauthenticator.lti13.auth import LTI13Authenticator
from ltiauthenticator.lti13.error import ValidationError
from ltiauthenticator.lti13.handlers import LTI13CallbackHandler, LTI13LoginInitHandler
from ltiauthenticator.lti13.validator import LTI13LaunchValidator
from ltiauthenticator.utils import convert_request_to_dict
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import HTTPError
from traitlets import Unicode

from class_signin.accounts import ClassAuthenticator, QuietHandler, Refused
from class_signin.oauth import TIMEOUTS
from class_signin.onward import Onward

# Seconds: how much clocks may differ; how long keys are kept; shortest time between two requests for an unknown key.
LEEWAY = 30
KEYS_AGE = 3600
KEYS_PAUSE = 10
CLAIMS = ["exp", "iat", "aud", "iss", "nonce", "sub"]
# The hub's log writes these parameters of an address as [secret]: they contain the LMS's names of people.
log.SCRUB_PARAM_KEYS = (*log.SCRUB_PARAM_KEYS, "hint", "nonce")


class LaunchValidator(LTI13LaunchValidator):
    """The library's rules for a launch, with keys that were fetched before."""

    time_leeway = LEEWAY

    def verify(self, message: str, keys: jwt.PyJWKSet, authenticator: "ClassLTI13") -> dict[str, Any]:
        """Return the content of a message that the platform signed for us; raise ValidationError or PyJWTError."""
        token = jwt.decode(
            message,
            keys[jwt.get_unverified_header(message).get("kid", "")].key,
            algorithms=authenticator.jwks_algorithms,
            audience=sorted(authenticator.client_id),
            issuer=authenticator.issuer,
            leeway=LEEWAY,
            options={"require": CLAIMS},
        )
        self.validate_id_token(token)
        self.validate_azp_claim(token, authenticator.client_id)
        return token


class LoginHandler(QuietHandler, LTI13LoginInitHandler):
    """The address to which the LMS sends a student first. It redirects back with our state and nonce."""

    def post(self) -> None:
        """Redirect to the platform that the course file names, whatever the request says."""
        if self.get_argument("iss", "") != self.authenticator.issuer:
            raise self.authenticator.start_there("Not opened from the course's LMS")
        super().post()

    get = post

    def authorize_redirect(self, **parameters: Any) -> None:
        """Use our own client id, even if the request names none."""
        super().authorize_redirect(**{**parameters, "client_id": sorted(self.authenticator.client_id)[0]})

    def _set_oauth_cookie(self, key: str, value: str) -> None:
        # The launch is a form of another site: browsers then send only cookies with SameSite=None.
        self._set_cookie(key, value, expires_days=1, httponly=True, encrypted=True, samesite="None", secure=True)


class LaunchHandler(Onward, QuietHandler, LTI13CallbackHandler):
    """Takes the signed launch."""

    async def post(self) -> None:
        """Sign in the person whom the platform names."""
        try:
            token = await self.launch()
        except (ValidationError, jwt.PyJWTError, KeyError) as problem:
            self.log.warning("A launch is refused: %s", type(problem).__name__)
            raise self.authenticator.start_there("The launch is not valid") from problem
        except HTTPError as problem:
            if isinstance(problem, Refused):
                raise
            raise self.authenticator.start_there("The launch has run out") from problem
        user = await self.login_user(token)
        if user is None:
            raise Refused(403, "Not on the class list", self.authenticator.help())
        await self.redirect_to_next_url(user)

    async def launch(self) -> dict[str, Any]:
        """Return the launch's content. This browser asked for it, and it is signed, not too old, and new."""
        arguments = convert_request_to_dict(self.request.arguments)
        validator = LaunchValidator(parent=self.app)
        validator.validate_auth_response(arguments)
        self.check_state()
        message = arguments["id_token"]
        keys = await self.authenticator.keys(jwt.get_unverified_header(message).get("kid", ""))
        token = validator.verify(message, keys, self.authenticator)
        self.check_nonce(token)
        self.authenticator.use_up(token)
        return token


class ClassLTI13(ClassAuthenticator, LTI13Authenticator):
    """The LMS says who a person is; the roster and the machine's accounts decide whether they may sign in."""

    login_handler = LoginHandler
    callback_handler = LaunchHandler
    lms = Unicode("your course's page in the LMS", config=True, help="The place of the link, as the pages name it.")
    _keys: jwt.PyJWKSet | None = None
    _keys_at = 0.0
    _used: dict[str, float]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._used = {}

    def get_handlers(self, app: Any) -> list[Any]:
        """Return sign-out and the launch's addresses. The library's page for Canvas asks for rights we do not need."""
        return super().get_handlers(app)[:3]

    def get_custom_html(self, base_url: str) -> str:  # noqa: ARG002
        """Return the text on the sign-in page instead of a form: a launch starts in the LMS."""
        return (
            '<div class="service-login"><p class="lead">Open the hub from '
            f"{html.escape(self.lms)}: there you are already signed in.</p></div>"
        )

    async def authenticate(self, handler: Any, data: Any = None) -> dict[str, Any] | None:
        """Return the account of the person whom a launch names. The hub's own form is never a launch."""
        if not isinstance(handler, LaunchHandler):
            return await self.by_password(handler, data)
        address = data.get("email")
        if not isinstance(address, str) or "@" not in address:
            raise Refused(
                403,
                "No email address",
                "The LMS did not send your email address, and this course finds you by it. "
                f"Your professor can switch that on in the LMS. {self.help()}",
            )
        return await self.by_identity(address)

    def start_there(self, heading: str) -> Refused:
        """Return the error for a person who must start in the LMS."""
        return Refused(400, heading, f"Open the hub from {self.lms} once more, in a new window. {self.help()}")

    async def keys(self, wanted: str) -> jwt.PyJWKSet:
        """Return the platform's keys; fetch them again if they are old or the wanted one is missing."""
        age = time.monotonic() - self._keys_at
        have = self._keys
        if have and age < KEYS_AGE and (age < KEYS_PAUSE or wanted in {key.key_id for key in have.keys}):
            return have
        try:
            answer = await AsyncHTTPClient().fetch(self.jwks_endpoint, **TIMEOUTS)
            self._keys = fresh = jwt.PyJWKSet.from_dict(json.loads(answer.body))
            self._keys_at = time.monotonic()
        except (HTTPClientError, OSError, ValueError, jwt.PyJWTError) as problem:
            self.log.error("The platform's keys cannot be fetched: %s", type(problem).__name__)
            if have is None:
                raise Refused(
                    503, "The LMS does not answer", f"Wait a minute, then open the hub from {self.lms}. {self.help()}"
                ) from problem
            return have
        return fresh

    def use_up(self, token: dict[str, Any]) -> None:
        """Refuse a launch that was used before. Launches are remembered until they expire."""
        now = time.time()
        self._used = {nonce: until for nonce, until in self._used.items() if until > now}
        if token["nonce"] in self._used:
            raise self.start_there("The launch was used before")
        self._used[token["nonce"]] = token["exp"] + LEEWAY
