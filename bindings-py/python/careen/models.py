"""What you see of a cluster: frozen dataclasses and ``str`` enums, with the names of every other face of Careen.

They compare, hash, print and pickle; :meth:`~careen.models.Node.to_dict` gives the JSON of the service. Times are
``datetime`` in UTC. What is ``None`` is absent, or not known: where that makes a difference, the field says which.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from careen._arguments import duration, invalid, text
from careen._model import Model
from careen._table import table
from careen.errors import BlockedError, ConflictError

__all__ = [
    "Acting",
    "Actor",
    "ActorKind",
    "Block",
    "BlockClass",
    "BlockReason",
    "Blocking",
    "Budget",
    "Condition",
    "ConditionStatus",
    "DrainEnd",
    "DrainEvent",
    "DrainOptions",
    "DrainOutcome",
    "DrainPhase",
    "DrainProgress",
    "DrainReference",
    "DrainWorkload",
    "EvictOrBlock",
    "LeaveOrAbort",
    "Maintenance",
    "MaintenancePhase",
    "MaintenanceReference",
    "MigrateBy",
    "Migration",
    "Model",
    "Node",
    "NodeChange",
    "Owner",
    "Plan",
    "PlanCounts",
    "PlanEntry",
    "PlanWarning",
    "PodPhase",
    "QueuePlace",
    "Record",
    "Refusal",
    "ShutDownBy",
    "ShutDownOrBlock",
    "ShutDownOrMigrate",
    "SkipReason",
    "StrategyOrigin",
    "Taint",
    "TaintEffect",
    "Ticket",
    "Tier",
    "Trouble",
    "TroubleReason",
    "UnhealthyPodEvictionPolicy",
    "Verdict",
    "VerdictKind",
    "VirtualMachineInstance",
    "VirtualMachineInstancePhase",
    "Wait",
    "WaitsFor",
    "WarningReason",
    "Workload",
    "WorkloadKind",
    "WorkloadState",
]


class _Word(str, enum.Enum):
    """A word of the vocabulary: a ``str``, so that it compares with text."""

    def __str__(self) -> str:
        return str(self.value)


_AnyWord = TypeVar("_AnyWord", bound=_Word)


class TaintEffect(_Word):
    """The effect of a taint, as Kubernetes defines it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class ConditionStatus(_Word):
    """The status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ActorKind(_Word):
    """What kind of operation acts on a node."""

    MAINTENANCE = "Maintenance"
    ORDER = "Order"
    """A drain that was ordered over the network."""
    PROCESS = "Process"
    """A drain in somebody's process, as from this package."""


class WorkloadKind(_Word):
    """What a workload is."""

    POD = "Pod"
    VIRTUAL_MACHINE_INSTANCE = "VirtualMachineInstance"


class PodPhase(_Word):
    """The phase of a pod, as Kubernetes defines it."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class WorkloadState(_Word):
    """How far a drain has got with a workload."""

    SKIPPED = "Skipped"
    """It stays."""
    NEXT = "Next"
    """It is about to be asked to leave, or has been; nothing shows yet."""
    TERMINATING = "Terminating"
    MIGRATING = "Migrating"
    BLOCKED = "Blocked"
    """Something is in its way."""


class VerdictKind(_Word):
    """What becomes of a workload."""

    SKIP = "Skip"
    """It stays, and is no work left."""
    EVICT = "Evict"
    """It is evicted, and its controller starts another elsewhere."""
    DELETE = "Delete"
    """It has ended; what is left of it is deleted."""
    MIGRATE = "Migrate"
    """It moves live."""
    SHUT_DOWN = "ShutDown"
    """The VM is shut down."""
    BLOCKED = "Blocked"
    """It cannot go as things are."""


class SkipReason(_Word):
    """Why a workload stays."""

    DAEMON_SET = "DaemonSet"
    MIRROR = "Mirror"
    DESELECTED = "Deselected"
    COMPLETED_LAUNCHER = "CompletedLauncher"


class MigrateBy(_Word):
    """Who migrates a VM."""

    EVACUATION = "Evacuation"
    """KubeVirt, by its queue and limits."""
    OWN_MIGRATION = "OwnMigration"
    """Careen."""


class ShutDownBy(_Word):
    """How a VM is shut down."""

    EVICTION = "Eviction"
    DELETING_THE_INSTANCE = "DeletingTheInstance"


class BlockClass(_Word):
    """Whether waiting can help."""

    STUCK = "Stuck"
    """Only a change can help."""
    WAITS = "Waits"
    """Time can help."""


class BlockReason(_Word):
    """What is in a workload's way."""

    SEVERAL_BUDGETS = "SeveralBudgets"
    BUDGET_NEVER_ALLOWS = "BudgetNeverAllows"
    BUDGET_SYNC_FAILED = "BudgetSyncFailed"
    NOT_LIVE_MIGRATABLE = "NotLiveMigratable"
    WILL_NOT_RESTART = "WillNotRestart"
    EXTERNAL_STRATEGY = "ExternalStrategy"
    UNKNOWN_STRATEGY = "UnknownStrategy"
    EVACUATION_WITHDRAWN = "EvacuationWithdrawn"
    ORPHANED_LAUNCHER = "OrphanedLauncher"
    UNMANAGED_POD = "UnmanagedPod"
    EMPTY_DIR_DATA = "EmptyDirData"
    FORBIDDEN = "Forbidden"
    EVICTION_REFUSED = "EvictionRefused"
    RETURNS_TO_NODE = "ReturnsToNode"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    BUDGET_NOT_OBSERVED = "BudgetNotObserved"
    BUDGET_SHARED = "BudgetShared"
    VIRTUAL_MACHINE_STARTING = "VirtualMachineStarting"
    MIGRATION_QUEUED = "MigrationQueued"
    MIGRATION_BACKOFF = "MigrationBackoff"
    MIGRATION_INCOMING = "MigrationIncoming"
    HOTPLUG_FOLLOWS_VIRTUAL_MACHINE = "HotplugFollowsVirtualMachine"
    ORDERED_AFTER_OTHERS = "OrderedAfterOthers"
    NODE_UNREACHABLE = "NodeUnreachable"
    TERMINATION_OVERDUE = "TerminationOverdue"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    API_SERVER_UNAVAILABLE = "ApiServerUnavailable"


class Tier(_Word):
    """When a workload leaves: those of a tier start when the tiers before it have left."""

    FIRST = "First"
    CRITICAL = "Critical"
    OWN_POD = "OwnPod"


class WarningReason(_Word):
    """What is worth knowing and blocks nothing."""

    MAY_NOT_FIT = "MayNotFit"
    ROOM_UNKNOWN = "RoomUnknown"
    """Whether other nodes have room is not known: they are not seen (``scope="nodes"``)."""
    NODE_UNREACHABLE = "NodeUnreachable"
    NODE_LEASE_HELD = "NodeLeaseHeld"
    """Somebody else holds the node Lease; seen by the service, not by scripts."""
    KUBE_VIRT_DRAIN_TAINT = "KubeVirtDrainTaint"


class DrainPhase(_Word):
    """Where a drain stands."""

    ORDERED = "Ordered"
    DRAINING = "Draining"
    WAITING = "Waiting"
    """Something about the node itself is in the way."""
    CANCELLING = "Cancelling"
    DRAINED = "Drained"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"
    NODE_GONE = "NodeGone"
    REFUSED = "Refused"


class DrainEnd(_Word):
    """How a drain ended."""

    DRAINED = "Drained"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"
    NODE_GONE = "NodeGone"
    REFUSED = "Refused"


class TroubleReason(_Word):
    """What is wrong with an operation itself, while it goes on or waits."""

    INVALID_SPEC = "InvalidSpec"
    NODE_GONE = "NodeGone"
    NODE_LEASE_HELD = "NodeLeaseHeld"
    NODE_LEASE_UNCONFIRMED = "NodeLeaseUnconfirmed"
    NAMESPACE_MISSING = "NamespaceMissing"
    RECORD_OF_ANOTHER = "RecordOfAnother"
    RECORD_UNREADABLE = "RecordUnreadable"
    NODE_NOT_CHANGED = "NodeNotChanged"
    CACHES_NOT_FILLED = "CachesNotFilled"
    CACHES_OLD = "CachesOld"
    FORBIDDEN = "Forbidden"
    CONTENDED = "Contended"
    API_SERVER_UNAVAILABLE = "ApiServerUnavailable"


class MaintenancePhase(_Word):
    """Where a maintenance stands."""

    UNDECIDED = "Undecided"
    """No controller has taken it up."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    """The node is drained, and stays out of service."""
    FAILED = "Failed"
    STOPPING = "Stopping"
    """It ends: the node is being restored."""
    ENDED = "Ended"
    """It has ended: the node is as it was, and the resource is gone."""


class UnhealthyPodEvictionPolicy(_Word):
    """Whether unready pods may always go."""

    IF_HEALTHY_BUDGET = "IfHealthyBudget"
    ALWAYS_ALLOW = "AlwaysAllow"


class VirtualMachineInstancePhase(_Word):
    """What a VM does."""

    STARTING = "Starting"
    RUNNING = "Running"
    ENDED = "Ended"
    UNKNOWN = "Unknown"


class StrategyOrigin(_Word):
    """Where an eviction strategy comes from."""

    VIRTUAL_MACHINE_INSTANCE = "VirtualMachineInstance"
    CLUSTER = "Cluster"


class WaitsFor(_Word):
    """What a migration waits for."""

    BACKOFF = "Backoff"
    QUEUE = "Queue"
    UNKNOWN = "Unknown"


class EvictOrBlock(_Word):
    """What becomes of a pod that is lost with the node's data."""

    EVICT = "Evict"
    BLOCK = "Block"


class ShutDownOrBlock(_Word):
    """What becomes of a VM that cannot go in a good way."""

    SHUT_DOWN = "ShutDown"
    BLOCK = "Block"


class ShutDownOrMigrate(_Word):
    """What becomes of a VM that says nothing about how it wants to go."""

    SHUT_DOWN = "ShutDown"
    MIGRATE = "Migrate"


class LeaveOrAbort(_Word):
    """What becomes of running migrations when a drain is cancelled."""

    LEAVE = "Leave"
    ABORT = "Abort"


@dataclass(frozen=True, slots=True, init=False)
class DrainOptions(Model):
    """What a drain may do. What is ``None`` takes the default of the operation.

    Words may be given as text (``empty_dir_pods="Evict"``), durations in seconds.
    """

    pod_selector: str | None
    """Only pods with these labels leave, written as for ``kubectl --pod-selector``. Default: all."""
    timeout: timedelta | None
    """After this time the drain has failed: nothing new starts, the node stays cordoned. Default: never."""
    delete_after: timedelta | None
    """After this time, pods whose eviction is refused are deleted, with their own grace and without asking their
    budgets. VMs are never deleted for it. Default: never."""
    unmanaged_pods: EvictOrBlock | None
    """Pods that no controller would start again. Default: ``Evict`` for a maintenance, ``Block`` for a drain."""
    empty_dir_pods: EvictOrBlock | None
    """Pods with an emptyDir, whose data is lost. Default: ``Evict`` for a maintenance, ``Block`` for a drain."""
    vm_that_cannot_migrate: ShutDownOrBlock | None
    """A VM of strategy LiveMigrate that cannot migrate. Default: ``Block``."""
    vm_that_will_not_restart: ShutDownOrBlock | None
    """A VM that would have to be shut down and does not start again by itself. Default: ``Block``."""
    vm_without_strategy: ShutDownOrMigrate | None
    """A VM without an eviction strategy. Default: ``ShutDown`` (it starts again elsewhere)."""
    running_migrations_on_stop: LeaveOrAbort | None
    """Migrations that this drain caused and that run when it is cancelled. Default: ``Leave``."""
    override_quorum: bool | None
    """Go on although it cannot be known whether the control plane keeps its quorum. Default: no."""

    def __init__(
        self,
        *,
        pod_selector: str | None = None,
        timeout: timedelta | float | None = None,
        delete_after: timedelta | float | None = None,
        unmanaged_pods: EvictOrBlock | Literal["Evict", "Block"] | None = None,
        empty_dir_pods: EvictOrBlock | Literal["Evict", "Block"] | None = None,
        vm_that_cannot_migrate: ShutDownOrBlock | Literal["ShutDown", "Block"] | None = None,
        vm_that_will_not_restart: ShutDownOrBlock | Literal["ShutDown", "Block"] | None = None,
        vm_without_strategy: ShutDownOrMigrate | Literal["ShutDown", "Migrate"] | None = None,
        running_migrations_on_stop: LeaveOrAbort | Literal["Leave", "Abort"] | None = None,
        override_quorum: bool | None = None,
    ) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("pod_selector", text("pod_selector", pod_selector))
        keep("timeout", duration("timeout", timeout))
        keep("delete_after", duration("delete_after", delete_after))
        keep("unmanaged_pods", _word("unmanaged_pods", unmanaged_pods, EvictOrBlock))
        keep("empty_dir_pods", _word("empty_dir_pods", empty_dir_pods, EvictOrBlock))
        keep("vm_that_cannot_migrate", _word("vm_that_cannot_migrate", vm_that_cannot_migrate, ShutDownOrBlock))
        keep("vm_that_will_not_restart", _word("vm_that_will_not_restart", vm_that_will_not_restart, ShutDownOrBlock))
        keep("vm_without_strategy", _word("vm_without_strategy", vm_without_strategy, ShutDownOrMigrate))
        keep(
            "running_migrations_on_stop", _word("running_migrations_on_stop", running_migrations_on_stop, LeaveOrAbort)
        )
        if override_quorum is not None and not isinstance(override_quorum, bool):
            raise TypeError(f"override_quorum has to be a bool, not {type(override_quorum).__name__}")
        keep("override_quorum", override_quorum)


def _word(name: str, value: str | None, words: type[_AnyWord]) -> _AnyWord | None:
    if value is None:
        return None
    try:
        return words(value)
    except ValueError:
        allowed = " or ".join(repr(word.value) for word in words)
        raise invalid(name, f"{value!r} is not {allowed}") from None


@dataclass(frozen=True, slots=True)
class Taint(Model):
    """A taint of a node."""

    key: str
    value: str | None
    effect: str
    time_added: datetime | None
    """Where Kubernetes keeps it."""


@dataclass(frozen=True, slots=True)
class Condition(Model):
    """A condition of a node or a maintenance."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Actor(Model):
    """Who acts on a node."""

    kind: ActorKind
    name: str
    """Name of the ``NodeMaintenance``; for a drain its id."""
    uid: str


@dataclass(frozen=True, slots=True)
class Record(Model):
    """What was done to a node, and what there was before: kept on the node."""

    actor: Actor
    node_uid: str
    was_unschedulable: bool
    """Whether somebody else had cordoned it before; then it stays so afterwards."""
    added_taint: str | None
    evacuations: tuple[str, ...]
    """UIDs of the VMs whose evacuation was asked for."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Acting(Model):
    """Who of Careen acts on a node."""

    kind: ActorKind
    name: str
    """Name of the ``NodeMaintenance``; for a drain its id."""
    lease_holder: str | None
    may_be_left_behind: bool
    """Whether nobody is known to carry it out: a drain in a process, or what one has left behind; with
    ``scope="nodes"`` also a maintenance, because maintenances are not looked at."""


@dataclass(frozen=True, slots=True)
class Ticket(Model):
    """A ticket in somebody's ticketing system."""

    id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class MaintenanceReference(Model):
    """The maintenance of a node, in short."""

    name: str
    phase: MaintenancePhase
    reason: str | None
    ticket: Ticket | None
    started_at: datetime | None
    drain_progress: int | None
    """How many of a hundred workloads have left."""
    blocked: int | None
    """How many workloads are blocked."""


@dataclass(frozen=True, slots=True)
class DrainReference(Model):
    """The drain of a node, in short."""

    id: str
    kind: ActorKind
    phase: DrainPhase
    requested_by: str | None
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Node(Model):
    """A node."""

    name: str
    uid: str
    resource_version: str
    created_at: datetime | None
    ready: bool
    """Whether its kubelet says so."""
    ready_since: datetime | None
    """Since when it is, or is not."""
    not_ready_message: str | None
    schedulable: bool
    """Whether new pods may come: it is not cordoned."""
    roles: tuple[str, ...]
    kubelet_version: str | None
    labels: Mapping[str, str] = field(hash=False)
    taints: tuple[Taint, ...]
    conditions: tuple[Condition, ...]
    pods: int | None
    """How many are bound to it; ``None`` in :meth:`Cluster.nodes` with ``scope="nodes"``, which does not look."""
    virtual_machine_instances: int | None
    """How many VMs run on it; ``None`` as for ``pods``."""
    acting: Acting | None
    maintenance: MaintenanceReference | None
    """``None`` with ``scope="nodes"``: ask :meth:`Cluster.maintenances`."""
    drain: DrainReference | None
    record: Record | None
    record_problem: str | None


@dataclass(frozen=True, slots=True)
class NodeChange(Model):
    """What became of a node."""

    node: Node
    """As it is now; for a dry run as it was."""
    changed: bool
    """Whether something was (for a dry run: would be) changed."""
    restored_from: Actor | None
    """Whose record the node was restored from, if one was left behind."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Owner(Model):
    """Who made an object."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Block(Model):
    """What is in the way."""

    class_: BlockClass
    reason: BlockReason
    message: str
    """A sentence that names the object in the way."""
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Blocking(Model):
    """A workload that is blocked, and by what."""

    kind: WorkloadKind
    namespace: str
    name: str
    class_: BlockClass
    reason: BlockReason
    message: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Budget(Model):
    """A ``PodDisruptionBudget``."""

    namespace: str
    name: str
    uid: str
    disruptions_allowed: int
    """How many of its pods may go now."""
    current_healthy: int
    desired_healthy: int
    expected_pods: int
    unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy
    obstacle: Block | None
    """What keeps it from letting one more healthy pod go."""


@dataclass(frozen=True, slots=True)
class Verdict(Model):
    """What becomes of a workload."""

    verdict: VerdictKind
    skip_reason: SkipReason | None
    migrate_by: MigrateBy | None
    shut_down_by: ShutDownBy | None
    restarts: bool | None
    """Whether it starts again by itself, where it is shut down."""
    will_not_restart_because: str | None
    block: Block | None


@dataclass(frozen=True, slots=True)
class QueuePlace(Model):
    """A place in KubeVirt's queue of migrations: an estimate."""

    ahead: int
    running: int
    running_limit: int
    running_from_node: int
    running_from_node_limit: int


@dataclass(frozen=True, slots=True)
class Wait(Model):
    """What a migration waits for before it starts."""

    kind: WaitsFor
    until: datetime | None
    place: QueuePlace | None


@dataclass(frozen=True, slots=True)
class Migration(Model):
    """A live migration of a VM."""

    namespace: str
    name: str | None
    """``None`` while KubeVirt is to make one and has not."""
    uid: str | None
    virtual_machine_instance: str
    phase: str | None
    """As KubeVirt writes it."""
    source: str | None
    target: str | None
    mode: str | None
    """``PreCopy``, ``PostCopy`` or ``Paused``."""
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    aborting: bool
    evacuates: str | None
    """The node that KubeVirt evacuates with it."""
    made_by: str | None
    """UID of the maintenance or id of the drain that made it, where Careen did."""
    attempt: int | None
    failure: str | None
    """Why it failed, or why the one before it did."""
    waits_for: Wait | None


@dataclass(frozen=True, slots=True)
class VirtualMachineInstance(Model):
    """A VM that runs."""

    namespace: str
    name: str
    uid: str
    phase: VirtualMachineInstancePhase
    deleting: bool
    node: str | None
    owner: Owner | None
    eviction_strategy: str
    """The one in force."""
    strategy_from: StrategyOrigin
    live_migratable: bool | None
    """``None`` while KubeVirt has not worked it out."""
    not_migratable_reason: str | None
    not_migratable_message: str | None
    run_strategy: str | None
    restarts: bool
    """Whether it starts again by itself when it is shut down."""
    will_not_restart_because: str | None
    evacuation_node: str | None
    """KubeVirt's mark that it has to leave that node."""
    migration: Migration | None


@dataclass(frozen=True, slots=True)
class Workload(Model):
    """A pod, or a VM with its launcher pod."""

    uid: str
    """That of the pod."""
    kind: WorkloadKind
    namespace: str
    name: str
    """For a VM that of its VMI."""
    pod: str
    node: str | None
    owner: Owner | None
    phase: PodPhase
    ready: bool
    priority: int
    terminating_until: datetime | None
    budgets: tuple[Budget, ...]
    virtual_machine_instance: VirtualMachineInstance | None
    verdict: Verdict | None
    """While a drain of the service acts on its node; for your own, see :class:`DrainEvent`."""
    state: WorkloadState | None
    blocked: Block | None


@dataclass(frozen=True, slots=True)
class Refusal(Model):
    """Why a node may not go at all."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PlanCounts(Model):
    """How many workloads get which verdict."""

    skip: int
    evict: int
    delete: int
    migrate: int
    shut_down: int
    waits: int
    """Are blocked, and time can help."""
    stuck: int
    """Are blocked, and only a change can help."""


@dataclass(frozen=True, slots=True)
class PlanWarning(Model):
    """Something worth knowing that blocks nothing."""

    reason: WarningReason
    message: str


@dataclass(frozen=True, slots=True)
class PlanEntry(Model):
    """What would become of one workload."""

    kind: WorkloadKind
    namespace: str
    name: str
    pod: str
    uid: str
    verdict: VerdictKind
    skip_reason: SkipReason | None
    migrate_by: MigrateBy | None
    shut_down_by: ShutDownBy | None
    restarts: bool | None
    """Whether it starts again by itself, where it is shut down."""
    will_not_restart_because: str | None
    block: Block | None
    """What is in its way, where something is."""
    tier: Tier
    budgets: tuple[str, ...]
    """Names of the budgets that its eviction asks, in its namespace."""
    warnings: tuple[PlanWarning, ...]


@dataclass(frozen=True, slots=True)
class Plan(Model):
    """What would happen if the node were drained now. ``print(plan)`` shows a table."""

    node: str
    refusal: Refusal | None
    """Why it may not go at all; ``None`` if it may."""
    counts: PlanCounts
    workloads: tuple[PlanEntry, ...]
    """In the order in which they would leave."""
    warnings: tuple[PlanWarning, ...]

    @property
    def blocking(self) -> tuple[Blocking, ...]:
        """The workloads that cannot leave as things are, those first that only a change can help."""
        blocked = [
            Blocking(entry.kind, entry.namespace, entry.name, block.class_, block.reason, block.message, block.since)
            for entry in self.workloads
            if (block := entry.block) is not None
        ]
        return tuple(sorted(blocked, key=lambda each: each.class_))

    @property
    def is_stuck(self) -> bool:
        """Whether a drain would wait for a change that only somebody can make."""
        return self.counts.stuck > 0

    def check(self) -> None:
        """Raises :class:`~careen.errors.ConflictError` if the node may not go, and
        :class:`~careen.errors.BlockedError` if its drain would wait for a change that only somebody can make."""
        if self.refusal is not None:
            conflict = ConflictError(self.refusal.message)
            conflict.reason, conflict.node = self.refusal.reason, self.node
            raise conflict
        if self.is_stuck:
            stuck = tuple(each for each in self.blocking if each.class_ is BlockClass.STUCK)
            raise BlockedError.of(self.node, stuck)

    def __str__(self) -> str:
        counts = self.counts.to_dict()
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing is on it"
        lines = [f"Plan for node {self.node}: {said}"]
        if self.refusal is not None:
            lines.append(f"It may not go ({self.refusal.reason}): {self.refusal.message}")
        lines += [f"Note ({warning.reason}): {warning.message}" for warning in self.warnings]
        rows = [
            (str(entry.verdict), str(entry.kind), f"{entry.namespace}/{entry.name}", _remark(entry))
            for entry in self.workloads
        ]
        return "\n".join([*lines, *table(("VERDICT", "KIND", "WORKLOAD", "REMARK"), rows)])


def _remark(entry: PlanEntry) -> str:
    said = []
    if entry.block is not None:
        said.append(f"{entry.block.class_} ({entry.block.reason}): {entry.block.message}")
    if entry.skip_reason is not None:
        said.append(str(entry.skip_reason))
    if entry.restarts is not None:
        said.append("starts again elsewhere" if entry.restarts else f"stays down: {entry.will_not_restart_because}")
    if entry.budgets and entry.block is None:
        said.append("budget " + ", ".join(entry.budgets))
    said += [f"{warning.reason}: {warning.message}" for warning in entry.warnings]
    return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Trouble(Model):
    """Something that is wrong with an operation itself; it is tried again."""

    reason: TroubleReason
    message: str


@dataclass(frozen=True, slots=True)
class DrainProgress(Model):
    """How far a drain has got."""

    had_to_leave: int
    """How many workloads had or have to leave."""
    left: int
    """How many have still to leave."""
    blocked: int
    """How many of those are blocked."""
    percent: int


@dataclass(frozen=True, slots=True)
class DrainWorkload(Model):
    """How far a drain has got with one workload."""

    kind: WorkloadKind
    namespace: str
    name: str
    pod: str
    uid: str
    state: WorkloadState
    skip_reason: SkipReason | None
    terminating_until: datetime | None
    migration: str | None
    """Name of the migration, where there is one already."""
    blocked: Block | None


@dataclass(frozen=True, slots=True)
class DrainEvent(Model):
    """How a drain is doing: the whole of it, told each time that something has changed."""

    phase: DrainPhase
    progress: DrainProgress
    waits_for: Block | None
    """What is in the way of the drain as a whole."""
    trouble: Trouble | None
    """What is wrong with the drain itself; it is tried again."""
    workloads: tuple[DrainWorkload, ...]

    @property
    def blocking(self) -> tuple[Blocking, ...]:
        """What blocks workloads, those first that only a change can help, then the longest."""
        blocked = [
            Blocking(each.kind, each.namespace, each.name, block.class_, block.reason, block.message, block.since)
            for each in self.workloads
            if (block := each.blocked) is not None
        ]
        return tuple(sorted(blocked, key=lambda each: (each.class_, str(each.since))))


@dataclass(frozen=True, slots=True)
class DrainOutcome(Model):
    """How a drain ended."""

    end: DrainEnd
    reason: str | None
    message: str
    at: datetime
    left: int
    """How many workloads were left."""
    left_behind: tuple[str, ...]
    """What could not be taken back, in sentences."""


@dataclass(frozen=True, slots=True)
class Maintenance(Model):
    """A ``NodeMaintenance``."""

    name: str
    uid: str
    resource_version: str
    node: str
    reason: str | None
    ticket: Ticket | None
    drain: DrainOptions | None
    requested_by: str | None
    phase: MaintenancePhase
    accepted: bool | None
    """``None`` until that is decided."""
    conditions: tuple[Condition, ...]
    drain_progress: int | None
    """How many of a hundred workloads have left."""
    total_pods: int | None
    eviction_pods: int | None
    blocked: int | None
    """How many workloads are blocked."""
    blocking: tuple[Blocking, ...]
    """The first twenty, those first that only a change can help."""
    last_error: str | None
    created_at: datetime | None
    started_at: datetime | None
    drained_at: datetime | None
    stopping_since: datetime | None
    last_update: datetime | None
