"""The one tree of exceptions, cut by what the reader has to do.

    CampaignError
    ├── UsageError            the command line is wrong                         exit 2
    ├── SheetRejected         the sheet has problems; nothing was sent          exit 3
    ├── BillRejected          a file is no funds bill, or not a whole one        exit 3
    ├── SetupError            settings, certificate or key are wrong            exit 4
    ├── NotFinished           halted, or rows wait for their time               exit 5
    │   └── StorageError      disk full, folder read-only
    ├── NeedsPerson           done, and what is left only a person can solve    exit 6
    ├── Conflict              nothing was sent                                  exit 7
    │   ├── PlanConflict      the sheet disagrees with what was sent
    │   ├── KeyChanged        the sheet's rows are known under other keys
    │   ├── SameListAgain     this list, or most of it, was paid already
    │   ├── CampaignHeld      another run holds the campaign
    │   └── LedgerRefused     the ledger is newer than this program, or damaged
    │       └── ForeignLedger  the ledger is another merchant's or gateway's
    └── GatewayError          one request; never leaves the stages
        ├── NotSent           no byte of the request left this machine
        └── NoAnswer          it left, and no trustworthy answer came back

Facts are attributes; the sentence is a ``Text``, so that it can be said in the reader's language.
"""

from __future__ import annotations

from typing import ClassVar

from campaign.text import Text


class CampaignError(Exception):
    """Something that a person can act on; never shown as a traceback."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: Text, *, advice: Text | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        #: The next step, and who takes it.
        self.advice = advice


class UsageError(CampaignError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class SheetRejected(CampaignError):
    """The sheet cannot be read, or has problems that only its owner can solve."""

    exit_code = 3


class BillRejected(CampaignError):
    """A funds bill cannot be read, or is not whole; a new download of it helps."""

    exit_code = 3


class SetupError(CampaignError):
    """Settings, certificate, key or ledger location are wrong; names the key and the fix."""

    exit_code = 4


class NotFinished(CampaignError):
    """The work stopped before its end; the same command goes on."""

    exit_code = 5


class StorageError(NotFinished):
    """The ledger or a report could not be written (disk full, read-only folder)."""


class NeedsPerson(CampaignError):
    """The program has done its part; what is left only a person can solve."""

    exit_code = 6


class Conflict(CampaignError):
    """Two truths disagree, and a person decides which one holds; nothing was sent."""

    exit_code = 7


class PlanConflict(Conflict):
    """A bill number that was sent already now stands for other facts."""


class KeyChanged(Conflict):
    """The rows would get new bill numbers although their people have entries already."""


class SameListAgain(Conflict):
    """The sheet repeats people and amounts of another campaign, or lacks its own."""


class CampaignHeld(Conflict):
    """Another process is sending for this campaign."""


class LedgerRefused(Conflict):
    """The ledger belongs to another merchant or gateway, is newer than this program, or damaged."""


class ForeignLedger(LedgerRefused):
    """The ledger belongs to another merchant or gateway."""


class GatewayError(CampaignError):
    """One request to WeChat Pay did not bring a trustworthy answer."""

    #: Whether money may have moved because of this request.
    may_have_paid: ClassVar[bool] = True


class NotSent(GatewayError):
    """No byte of the request was written: name resolution, connect or a new handshake failed."""

    may_have_paid = False


class NoAnswer(GatewayError):
    """The request left, wholly or in part, and no trustworthy answer came back."""
