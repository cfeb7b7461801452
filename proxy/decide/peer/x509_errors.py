"""OpenSSL's verification errors, in the project's words."""

from __future__ import annotations

from math import inf
from typing import Final

from proxy.decide.facts import Certificate
from proxy.decide.text import printable
from proxy.decide.verdict import Reason, Refused

MAX_SUBJECT: Final = 256
"""Characters of a subject in a refusal's detail; its holder wrote it, and may have written a lot."""

REASON_BY_X509_ERROR: Final[dict[int, Reason]] = {
    2: Reason.UNTRUSTED_ISSUER,  # unable to get issuer certificate
    4: Reason.MALFORMED_CERTIFICATE,  # unable to decrypt signature
    6: Reason.MALFORMED_CERTIFICATE,  # unable to decode issuer public key
    7: Reason.BAD_SIGNATURE,
    9: Reason.NOT_YET_VALID,
    10: Reason.EXPIRED,
    13: Reason.MALFORMED_CERTIFICATE,  # error in notBefore
    14: Reason.MALFORMED_CERTIFICATE,  # error in notAfter
    18: Reason.UNTRUSTED_ISSUER,  # self-signed leaf
    19: Reason.UNTRUSTED_ISSUER,  # self-signed certificate in chain
    20: Reason.UNTRUSTED_ISSUER,  # unable to get local issuer certificate
    21: Reason.UNTRUSTED_ISSUER,  # unable to verify the first certificate
    22: Reason.CHAIN_TOO_LONG,
    23: Reason.REVOKED,
    24: Reason.UNTRUSTED_ISSUER,  # the issuer has no public key
    25: Reason.CHAIN_TOO_LONG,  # path length constraint
    26: Reason.WRONG_PURPOSE,
    27: Reason.UNTRUSTED_ISSUER,
    28: Reason.UNTRUSTED_ISSUER,
    29: Reason.UNTRUSTED_ISSUER,  # subject and issuer mismatch
    32: Reason.UNTRUSTED_ISSUER,  # the issuer's key usage lacks keyCertSign
    34: Reason.UNSUPPORTED_EXTENSION,  # unhandled critical extension
    40: Reason.UNSUPPORTED_EXTENSION,  # proxy certificates
    41: Reason.MALFORMED_CERTIFICATE,  # invalid extension
    42: Reason.CERTIFICATE_POLICY,  # an invalid policy extension, such as a mapping of anyPolicy
    43: Reason.CERTIFICATE_POLICY,  # a policy is demanded, and none is left
    47: Reason.NAME_NOT_ALLOWED,  # outside the issuer's permitted subtrees
    48: Reason.NAME_NOT_ALLOWED,  # inside the issuer's excluded subtrees
    51: Reason.UNSUPPORTED_EXTENSION,  # name constraint type
    52: Reason.UNSUPPORTED_EXTENSION,  # name constraint syntax
    53: Reason.UNSUPPORTED_EXTENSION,  # name syntax
    66: Reason.WEAK_KEY,  # leaf key
    67: Reason.WEAK_KEY,  # CA key
    68: Reason.WEAK_KEY,  # CA signature hash
    79: Reason.UNTRUSTED_ISSUER,  # the issuer is not a CA
}
"""OpenSSL's X509_V_ERR_* numbers (openssl/x509_vfy.h). What is not listed is ``untrusted-issuer``."""


def refusal_of(code: int, depth: int, text: str, subject: str, leaf: Certificate) -> Refused:
    """Translate OpenSSL's verification error ``code`` at ``depth``, met on the certificate named ``subject``.

    Where an issuer is not yet valid, ``until`` is in the past: when it ends is for the caller to know or to ask again.
    """
    reason = REASON_BY_X509_ERROR.get(code, Reason.UNTRUSTED_ISSUER)
    until = inf
    if reason is Reason.NOT_YET_VALID:
        until = leaf.not_before if depth == 0 else 0.0
    where = f"{text} (X509 error {code}) at depth {depth}: {printable(subject, MAX_SUBJECT)}"
    return Refused(reason, where, depth, until)


def who(cert: Certificate) -> str:
    """Name a certificate's holder in a refusal's detail."""
    return printable(cert.subject, MAX_SUBJECT)
