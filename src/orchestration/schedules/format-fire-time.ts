import { findZone } from "./zone.ts";

const MINUTE_MS = 60_000;

/** As Python writes a time with its zone, which is how Prefect's idempotency keys have it: `2026-11-24 00:00:00-05:00`. */
export function formatFireTime(fireTime: Date, timezone: string | null | undefined): string {
  const wallMs = findZone(timezone ?? "UTC").toWall(fireTime.getTime());
  const [date = "", time = ""] = new Date(wallMs).toISOString().split("T");
  const milliseconds = time.slice(9, 12) === "000" ? "" : `.${time.slice(9, 12)}000`;
  const offsetMinutes = Math.round((wallMs - fireTime.getTime()) / MINUTE_MS);
  const hours = String(Math.floor(Math.abs(offsetMinutes) / 60)).padStart(2, "0");
  const minutes = String(Math.abs(offsetMinutes) % 60).padStart(2, "0");
  return `${date} ${time.slice(0, 8)}${milliseconds}${offsetMinutes < 0 ? "-" : "+"}${hours}:${minutes}`;
}
