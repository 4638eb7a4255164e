/**
 * Decides which models are in which device's memory.
 *
 * A pure function of what the devices advertise (free memory as measured, models as measured) and
 * of what is wanted. It evicts before it loads, never loads what does not fit, and evicts no model
 * that has work, but a copy beside another one for a model that is waited for and has none. One
 * scheduler at a time acts on it; workers refuse what does not fit after all, so two that believe
 * themselves in charge for a moment do no harm (I3).
 *
 * The order of eviction is least recently used weighted by demand, as ModelMesh does it: a model
 * that nobody asks for goes first, then the one whose last use, pushed forward by its rate, is
 * oldest. Who waits comes before who may be back: for a request in the queue a model may go that is
 * kept for those who missed it, or they could keep out everybody for nothing.
 */

export interface ResidentView {
  readonly ref: string;
  readonly state: "loading" | "ready" | "unloading" | "failed";
  /** Of a failed one 0, or what it needs there where that was not free. */
  readonly bytes: number;
  /** Batches of it are on the device. */
  readonly busy: boolean;
  /** From other bytes than the registry has for it now: it is no copy, and goes (I8). */
  readonly stale: boolean;
  /** It is there and its runs fail: it is no copy either, and may be one again. */
  readonly failing: boolean;
}

/** Not the model's fault, and no reason to wait: it fits once others have made way. */
export const isShortOfRoom = ({ state, bytes }: Pick<ResidentView, "state" | "bytes">): boolean =>
  state === "failed" && bytes > 0;

export interface DeviceView {
  readonly id: string;
  readonly accelerator: boolean;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly residents: readonly ResidentView[];
}

export interface ModelView {
  readonly ref: string;
  /**
   * What loading is expected to take: measured on an earlier load, else estimated from the file.
   */
  readonly bytes: number;
  /** The version that answers, and loaded by the operator's word. */
  readonly wanted: boolean;
  /** Not wanted but still answering, until the version that replaces it is ready. */
  readonly keep: boolean;
  readonly queuedRows: number;
  /** Some could not wait for its load, and may ask again: it is loaded for them, and stays. */
  readonly missed: boolean;
  readonly waitUs: number;
  readonly rowsPerSecond: number;
  /** Devices that its arrivals keep busy, in batches of the best size. */
  readonly busyDevices: number;
  readonly lastUsedUs: number;
}

export interface ResidencyView {
  readonly devices: readonly DeviceView[];
  readonly models: ReadonlyMap<string, ModelView>;
}

export interface ResidencyOptions {
  /** A model stays at least this long, so that whoever waits for it is served before it goes. */
  readonly residencyUsMin: number;
  /** Longer predicted waits call for one more copy, where there is room. */
  readonly copyWaitUs: number;
  /**
   * Copies busier than this call for one more as well: a worker that was started ahead of the load
   * is of no use while it waits for the queue to grow before it loads what is asked for.
   */
  readonly copyBusyShare: number;
  /** Copies of a model that are kept where there is room, on different devices. */
  readonly copiesIdle: number;
  /**
   * A model that nobody asked for so long is parked: it leaves every device although there is room,
   * and comes back when a request waits for it. Infinity keeps all of them.
   */
  readonly parkAfterUs: number;
}

export const RESIDENCY_DEFAULTS: ResidencyOptions = {
  residencyUsMin: 300_000,
  copyWaitUs: 50_000,
  copyBusyShare: 0.6,
  copiesIdle: 2,
  parkAfterUs: Infinity,
};

export type ResidencyAction =
  | { readonly type: "load"; readonly device: string; readonly ref: string; readonly why: string }
  | {
      readonly type: "unload";
      readonly device: string;
      readonly ref: string;
      readonly why: string;
    };

const isAsked = ({ queuedRows, missed }: ModelView): boolean => queuedRows > 0 || missed;

/** Nobody waits for it, nor may anybody be back for it, unless somebody waits for the other. */
const mayGo = (held: ModelView | undefined, forModel: ModelView): boolean =>
  held === undefined || !isAsked(held) || (held.queuedRows === 0 && forModel.queuedRows > 0);

/** Room on a device while the plan is made: what is free, less what the plan already promised. */
interface Room {
  readonly device: DeviceView;
  freeBytes: number;
  /** Loads under way or planned; one at a time per device keeps measured memory honest. */
  loading: boolean;
  readonly leaving: Set<string>;
  /** Copies that are there or on their way. */
  copies: number;
  /** Of its time, what the arrivals of those copies' models take. */
  busyShare: number;
}

/** Devices whose work differs by less have as much to do. */
const BUSY_STEP = 0.05;
/** A row a second pushes a model's last use forward by a second. */
const WEIGHT_US_PER_RATE = 1_000_000;

export function planResidency(
  view: ResidencyView,
  loadedAtUs: (device: string, ref: string) => number,
  nowUs: number,
  options: ResidencyOptions = RESIDENCY_DEFAULTS,
): readonly ResidencyAction[] {
  const actions: ResidencyAction[] = [];
  const copies = countCopies(view.devices);
  const rooms = view.devices.map((device) => roomOf(device, view, copies));
  unloadUnwanted(view, rooms, actions);
  const isParked = (model: ModelView): boolean =>
    !isAsked(model) && nowUs - model.lastUsedUs > options.parkAfterUs;
  // A copy stays as long after its load as well: a restart forgets what was asked for before.
  const isOld = (device: string, ref: string): boolean =>
    nowUs - loadedAtUs(device, ref) > options.parkAfterUs;
  unloadParked(view, rooms, isParked, isOld, actions);
  const inNeed = [...view.models.values()]
    .filter((model) => (model.wanted && !isParked(model)) || isAsked(model))
    .sort((a, b) => needOf(b, copies) - needOf(a, copies) || (a.ref < b.ref ? -1 : 1));
  let serving: Map<string, number> | undefined;
  for (const model of inNeed) {
    const held = copies.get(model.ref) ?? 0;
    const pressed = isAsked(model) && (held === 0 || model.waitUs > options.copyWaitUs);
    const isBusy = model.busyDevices > options.copyBusyShare * held;
    if (held >= options.copiesIdle && !pressed && !isBusy) continue;
    const candidates = rooms.filter((room) => mayLoad(room, model)).sort(preference(model, rooms));
    const free = candidates.find((room) => room.freeBytes >= needOn(room.device, model));
    if (free !== undefined) {
      free.freeBytes -= needOn(free.device, model);
      free.loading = true;
      free.copies++;
      free.busyShare += model.busyDevices / (held + 1);
      const why = held === 0 ? "no copy" : pressed ? "queue" : isBusy ? "busy" : "spare copy";
      actions.push({ type: "load", device: free.device.id, ref: model.ref, why });
    } else if (held === 0 && isAsked(model)) {
      serving ??= countServing(rooms);
      evictFor(model, candidates, view, serving, loadedAtUs, nowUs, options, actions);
    }
  }
  return actions;
}

function roomOf(
  device: DeviceView,
  { models }: ResidencyView,
  copies: ReadonlyMap<string, number>,
): Room {
  const { freeBytes, residents } = device;
  const loading = residents.some(({ state }) => state === "loading");
  const leaving = new Set(
    residents.filter(({ state }) => state === "unloading").map(({ ref }) => ref),
  );
  const own = residents.filter(isCopy);
  const busyShare = own.reduce(
    (sum, { ref }) => sum + (models.get(ref)?.busyDevices ?? 0) / (copies.get(ref) ?? 1),
    0,
  );
  return { device, freeBytes, loading, leaving, copies: own.length, busyShare };
}

/** What the operator unloaded, and versions that no longer answer, go as soon as they are idle. */
function unloadUnwanted(view: ResidencyView, rooms: Room[], actions: ResidencyAction[]): void {
  for (const room of rooms) {
    for (const resident of room.device.residents) {
      if (resident.state !== "ready" || resident.busy) continue;
      const model = view.models.get(resident.ref);
      const wanted = model !== undefined && (model.wanted || model.keep || isAsked(model));
      if (wanted && !resident.stale) continue;
      room.leaving.add(resident.ref);
      const why = wanted ? "other bytes" : "not wanted";
      actions.push({ type: "unload", device: room.device.id, ref: resident.ref, why });
    }
  }
}

/** What nobody asks for any more goes, though others have no need of its room. */
function unloadParked(
  view: ResidencyView,
  rooms: readonly Room[],
  isParked: (model: ModelView) => boolean,
  isOld: (device: string, ref: string) => boolean,
  actions: ResidencyAction[],
): void {
  for (const { device, leaving } of rooms) {
    for (const { ref, state, busy } of device.residents) {
      const model = view.models.get(ref);
      if (state !== "ready" || busy || leaving.has(ref) || model === undefined) continue;
      if (!isParked(model) || !isOld(device.id, ref)) continue;
      leaving.add(ref);
      actions.push({ type: "unload", device: device.id, ref, why: "idle" });
    }
  }
}

function countCopies(devices: readonly DeviceView[]): Map<string, number> {
  const copies = new Map<string, number>();
  for (const { residents } of devices) {
    for (const { ref } of residents.filter(isCopy)) copies.set(ref, (copies.get(ref) ?? 0) + 1);
  }
  return copies;
}

/** Copies that can run now, and are not told to go. */
function countServing(rooms: readonly Room[]): Map<string, number> {
  const serving = new Map<string, number>();
  for (const { device, leaving } of rooms) {
    for (const resident of device.residents) {
      const { ref, state } = resident;
      if (state !== "ready" || !isCopy(resident) || leaving.has(ref)) continue;
      serving.set(ref, (serving.get(ref) ?? 0) + 1);
    }
  }
  return serving;
}

const isCopy = ({ failing, stale, state }: ResidentView): boolean =>
  !stale && !failing && (state === "ready" || state === "loading");

/**
 * Who comes first: work without a copy, longest wait first; then what was missed; then pressure,
 * and then no copy at all.
 */
function needOf(model: ModelView, copies: ReadonlyMap<string, number>): number {
  const none = (copies.get(model.ref) ?? 0) === 0;
  if (model.queuedRows > 0) return (none ? 1e15 : 1e12) + model.waitUs;
  if (model.missed && none) return 1e14;
  return (none ? 1e6 : 0) + model.rowsPerSecond;
}

/** A failed load stays among the residents for a while, which keeps it from being tried at once. */
function mayLoad(room: Room, model: ModelView): boolean {
  const { device } = room;
  return (
    !room.loading &&
    needOn(device, model) <= device.totalBytes &&
    !device.residents.some((held) => held.ref === model.ref && !mayReplace(held))
  );
}

/** What loading the model there is expected to take, or has been found to take. */
function needOn(device: DeviceView, model: ModelView): number {
  const failed = device.residents.find((held) => held.ref === model.ref && isShortOfRoom(held));
  return Math.max(model.bytes, failed?.bytes ?? 0);
}

const mayReplace = (held: ResidentView): boolean =>
  isShortOfRoom(held) || (held.stale && held.state === "failed");

/**
 * Orders devices for the model, the best first: where runs do not fail; the first copy on an
 * accelerator, the second on the other kind, further ones on accelerators; then where there is the
 * least to do, the fewest models, and the most room. Space alone would put every small model on the
 * same device.
 */
function preference(model: ModelView, rooms: readonly Room[]): (a: Room, b: Room) => number {
  const isHeldBy = (accelerator: boolean): boolean =>
    rooms.some(
      ({ device }) =>
        device.accelerator === accelerator &&
        device.residents.some(({ ref, failing }) => ref === model.ref && !failing),
    );
  const accelerator = !isHeldBy(true) || isHeldBy(false);
  const keys = new Map<Room, readonly number[]>();
  const keyOf = (room: Room): readonly number[] => {
    const { busyShare, copies, device, freeBytes } = room;
    const key = keys.get(room) ?? [
      device.residents.some(({ failing }) => failing) ? 1 : 0,
      device.accelerator === accelerator ? 0 : 1,
      Math.floor(busyShare / BUSY_STEP),
      copies,
      -freeBytes / (device.totalBytes + 1),
    ];
    keys.set(room, key);
    return key;
  };
  return (a, b) => {
    const [of, than] = [keyOf(a), keyOf(b)];
    const at = of.findIndex((each, index) => each !== than[index]);
    return at < 0 ? 0 : (of[at] ?? 0) - (than[at] ?? 0);
  };
}

/** Unloads, on the device where the least valuable models go, enough of them to make room. */
function evictFor(
  model: ModelView,
  candidates: readonly Room[],
  view: ResidencyView,
  serving: Map<string, number>,
  loadedAtUs: (device: string, ref: string) => number,
  nowUs: number,
  options: ResidencyOptions,
  actions: ResidencyAction[],
): void {
  let best: { room: Room; victims: readonly ResidentView[]; value: number } | undefined;
  for (const room of candidates) {
    let freeBytes = room.freeBytes;
    const needBytes = needOn(room.device, model);
    for (const resident of room.device.residents) {
      if (room.leaving.has(resident.ref)) freeBytes += resident.bytes;
    }
    const victims: ResidentView[] = [];
    let value = 0;
    const evictable = room.device.residents
      .filter((resident) => {
        const { busy, ref, state } = resident;
        if (state !== "ready" || room.leaving.has(ref)) return false;
        if (nowUs - loadedAtUs(room.device.id, ref) < options.residencyUsMin) return false;
        const isSpare = isCopy(resident) && (serving.get(ref) ?? 0) > 1;
        // Who waits for a first copy comes before who has another: busy ones finish what they hold.
        if (isSpare && model.queuedRows > 0) return true;
        const held = view.models.get(ref);
        // The version that still answers does not go for its successor, for which nobody waits.
        if (!isSpare && held?.keep === true && model.queuedRows === 0) return false;
        return !busy && mayGo(held, model);
      })
      .sort((a, b) => valueOf(a.ref, view) - valueOf(b.ref, view));
    for (const resident of evictable) {
      if (freeBytes >= needBytes) break;
      victims.push(resident);
      freeBytes += resident.bytes;
      value = Math.max(value, valueOf(resident.ref, view));
    }
    if (freeBytes < needBytes) continue;
    if (best === undefined || value < best.value) best = { room, victims, value };
  }
  if (best === undefined) return;
  // The load itself follows when the device has said that the memory is free.
  best.room.loading = true;
  for (const { ref } of best.victims) {
    best.room.leaving.add(ref);
    serving.set(ref, (serving.get(ref) ?? 1) - 1);
    actions.push({
      type: "unload",
      device: best.room.device.id,
      ref,
      why: `room for ${model.ref}`,
    });
  }
}

function valueOf(ref: string, view: ResidencyView): number {
  const model = view.models.get(ref);
  if (model === undefined || (!model.wanted && !model.keep)) return -1;
  return Math.max(0, model.lastUsedUs) + model.rowsPerSecond * WEIGHT_US_PER_RATE;
}
