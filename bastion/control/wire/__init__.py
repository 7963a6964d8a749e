"""The control protocol: messages and codec. Pure.

Theory of operation. A connection carries JSON objects, one a line, UTF-8, each at most LINE_LIMIT bytes. The client
opens with `hello`; the daemon answers `welcome`, or `failed` and closes when it does not speak that version. After
that the client sends calls, each with an `id` of its own choosing, and gets one `reply` or `failed` with that `id`;
answers may overtake each other. After `subscribe` or `watch` the daemon also pushes messages without an `id`.

A message is tagged by `type`. Unknown fields are ignored, so that fields can be added within a version; an unknown
type is answered with `failed`. Bytes travel as base64. Any garbage raises WireError and nothing else.

Over SSH the caller is the identity of the connection's key. On the local socket the caller is the host's own
administrator (`local:UID`, checked by peer credentials). A vote counts only by the signature that it carries.
"""

from bastion.control.wire.access import AccessInfo as AccessInfo
from bastion.control.wire.access import AddGrant as AddGrant
from bastion.control.wire.access import Blast as Blast
from bastion.control.wire.access import BlastInfo as BlastInfo
from bastion.control.wire.access import DamageInfo as DamageInfo
from bastion.control.wire.access import FreezeInfo as FreezeInfo
from bastion.control.wire.access import GrantInfo as GrantInfo
from bastion.control.wire.access import GroupInfo as GroupInfo
from bastion.control.wire.access import LiftFreeze as LiftFreeze
from bastion.control.wire.access import ListAccess as ListAccess
from bastion.control.wire.access import ListFreezes as ListFreezes
from bastion.control.wire.access import ListGrants as ListGrants
from bastion.control.wire.access import ListGroups as ListGroups
from bastion.control.wire.access import RemoveGroup as RemoveGroup
from bastion.control.wire.access import ReviewAccess as ReviewAccess
from bastion.control.wire.access import RevokeGrant as RevokeGrant
from bastion.control.wire.access import SetFreeze as SetFreeze
from bastion.control.wire.access import SetGroup as SetGroup
from bastion.control.wire.access import UnusedInfo as UnusedInfo
from bastion.control.wire.background import BackgroundInfo as BackgroundInfo
from bastion.control.wire.background import PastInfo as PastInfo
from bastion.control.wire.background import PolicyInfo as PolicyInfo
from bastion.control.wire.background import ShowBackground as ShowBackground
from bastion.control.wire.background import ShowPolicy as ShowPolicy
from bastion.control.wire.base import DECISION_NAMESPACE as DECISION_NAMESPACE
from bastion.control.wire.base import EDIT_NAMESPACE as EDIT_NAMESPACE
from bastion.control.wire.base import LINE_LIMIT as LINE_LIMIT
from bastion.control.wire.base import SUBSYSTEM as SUBSYSTEM
from bastion.control.wire.base import VERSION as VERSION
from bastion.control.wire.base import WHITELIST_NAMESPACE as WHITELIST_NAMESPACE
from bastion.control.wire.base import Call as Call
from bastion.control.wire.base import WireError as WireError
from bastion.control.wire.channels import ChannelInfo as ChannelInfo
from bastion.control.wire.channels import ListChannels as ListChannels
from bastion.control.wire.channels import TryChannels as TryChannels
from bastion.control.wire.custody import REDACTION_NAMESPACE as REDACTION_NAMESPACE
from bastion.control.wire.custody import HoldInfo as HoldInfo
from bastion.control.wire.custody import LiftHold as LiftHold
from bastion.control.wire.custody import ListHolds as ListHolds
from bastion.control.wire.custody import OldInfo as OldInfo
from bastion.control.wire.custody import PlaceHold as PlaceHold
from bastion.control.wire.custody import PlanRedaction as PlanRedaction
from bastion.control.wire.custody import Redact as Redact
from bastion.control.wire.custody import RedactionInfo as RedactionInfo
from bastion.control.wire.custody import RetentionInfo as RetentionInfo
from bastion.control.wire.custody import RotateKey as RotateKey
from bastion.control.wire.custody import RunRetention as RunRetention
from bastion.control.wire.estate import AddIdentity as AddIdentity
from bastion.control.wire.estate import AddTarget as AddTarget
from bastion.control.wire.estate import CheckInfo as CheckInfo
from bastion.control.wire.estate import CheckTarget as CheckTarget
from bastion.control.wire.estate import IdentityInfo as IdentityInfo
from bastion.control.wire.estate import ListIdentities as ListIdentities
from bastion.control.wire.estate import ListTargets as ListTargets
from bastion.control.wire.estate import RemoveTarget as RemoveTarget
from bastion.control.wire.estate import RevokeIdentity as RevokeIdentity
from bastion.control.wire.estate import TargetInfo as TargetInfo
from bastion.control.wire.figures import ApproverInfo as ApproverInfo
from bastion.control.wire.figures import AskingInfo as AskingInfo
from bastion.control.wire.figures import ListPresence as ListPresence
from bastion.control.wire.figures import PresenceChanged as PresenceChanged
from bastion.control.wire.figures import PresenceInfo as PresenceInfo
from bastion.control.wire.figures import ShowStats as ShowStats
from bastion.control.wire.figures import StatsInfo as StatsInfo
from bastion.control.wire.figures import TallyInfo as TallyInfo
from bastion.control.wire.messages import FAILURES as FAILURES
from bastion.control.wire.messages import Alert as Alert
from bastion.control.wire.messages import AnyCall as AnyCall
from bastion.control.wire.messages import ChannelsChanged as ChannelsChanged
from bastion.control.wire.messages import Failed as Failed
from bastion.control.wire.messages import FreezesChanged as FreezesChanged
from bastion.control.wire.messages import Hello as Hello
from bastion.control.wire.messages import Push as Push
from bastion.control.wire.messages import Reply as Reply
from bastion.control.wire.messages import RequestChanged as RequestChanged
from bastion.control.wire.messages import SessionChanged as SessionChanged
from bastion.control.wire.messages import SessionOutput as SessionOutput
from bastion.control.wire.messages import Welcome as Welcome
from bastion.control.wire.messages import convert as convert
from bastion.control.wire.messages import decode_answer as decode_answer
from bastion.control.wire.messages import decode_call as decode_call
from bastion.control.wire.messages import encode as encode
from bastion.control.wire.messages import failed as failed
from bastion.control.wire.messages import failure as failure
from bastion.control.wire.messages import id_of as id_of
from bastion.control.wire.messages import reply as reply
from bastion.control.wire.preferences import PREFERENCES_NAMESPACE as PREFERENCES_NAMESPACE
from bastion.control.wire.preferences import PreferencesInfo as PreferencesInfo
from bastion.control.wire.preferences import SetPreferences as SetPreferences
from bastion.control.wire.preferences import ShowPreferences as ShowPreferences
from bastion.control.wire.queue import EditRequest as EditRequest
from bastion.control.wire.queue import EscalateRequest as EscalateRequest
from bastion.control.wire.queue import SnoozeRequest as SnoozeRequest
from bastion.control.wire.queue import TryEdit as TryEdit
from bastion.control.wire.record import HeadProof as HeadProof
from bastion.control.wire.record import LedgerHead as LedgerHead
from bastion.control.wire.record import LedgerLine as LedgerLine
from bastion.control.wire.record import ListLedger as ListLedger
from bastion.control.wire.record import ProveHead as ProveHead
from bastion.control.wire.record import RotationProof as RotationProof
from bastion.control.wire.replay import MarkInfo as MarkInfo
from bastion.control.wire.replay import MomentInfo as MomentInfo
from bastion.control.wire.replay import ReadMoment as ReadMoment
from bastion.control.wire.replay import ReadTimeline as ReadTimeline
from bastion.control.wire.replay import TimelineInfo as TimelineInfo
from bastion.control.wire.requests import CastVote as CastVote
from bastion.control.wire.requests import ListRequests as ListRequests
from bastion.control.wire.requests import RequestInfo as RequestInfo
from bastion.control.wire.requests import ShowRequest as ShowRequest
from bastion.control.wire.requests import Subscribe as Subscribe
from bastion.control.wire.requests import VoteInfo as VoteInfo
from bastion.control.wire.sessions import EndKeys as EndKeys
from bastion.control.wire.sessions import FrameInfo as FrameInfo
from bastion.control.wire.sessions import KillSession as KillSession
from bastion.control.wire.sessions import ListSessions as ListSessions
from bastion.control.wire.sessions import ReadRecording as ReadRecording
from bastion.control.wire.sessions import SearchHit as SearchHit
from bastion.control.wire.sessions import SearchResult as SearchResult
from bastion.control.wire.sessions import SearchSessions as SearchSessions
from bastion.control.wire.sessions import SessionInfo as SessionInfo
from bastion.control.wire.sessions import ShowSession as ShowSession
from bastion.control.wire.sessions import UnwatchSession as UnwatchSession
from bastion.control.wire.sessions import WatchSession as WatchSession
from bastion.control.wire.whitelist import AddWhitelist as AddWhitelist
from bastion.control.wire.whitelist import CandidateInfo as CandidateInfo
from bastion.control.wire.whitelist import ListWhitelist as ListWhitelist
from bastion.control.wire.whitelist import ProposalInfo as ProposalInfo
from bastion.control.wire.whitelist import ProposeWhitelist as ProposeWhitelist
from bastion.control.wire.whitelist import RemoveWhitelist as RemoveWhitelist
from bastion.control.wire.whitelist import WhitelistInfo as WhitelistInfo
