import { parseCron } from "../../prefect-api/schedule-text/cron.ts";
import { parseRuleSetText } from "../../prefect-api/schedule-text/rrule-text.ts";
import { isTimezone } from "../../prefect-api/schedules.ts";
import type { DeployFlags } from "../../project/overlay.ts";
import { askChoice, askText, askYesNo } from "../ask.ts";

type ScheduleFlags = Pick<DeployFlags, "cron" | "interval" | "rrule" | "timezone">;

const KINDS = [
  { label: "Interval", value: "interval", hint: "every so many seconds" },
  { label: "Cron", value: "cron", hint: "a pattern of times, such as 0 9 * * 1-5" },
  { label: "RRule", value: "rrule", hint: "a recurrence rule as calendars use" },
] as const;

/** The same as the flags `--cron`, `--interval`, `--rrule` and `--timezone`; one time zone for all of them. */
export async function askSchedules(): Promise<ScheduleFlags> {
  const cron: string[] = [];
  const interval: number[] = [];
  const rrule: string[] = [];
  if (!(await askYesNo("Would you like to configure a schedule for this deployment?", false))) {
    return {};
  }
  do {
    const kind = await askChoice("What type of schedule would you like to use?", [...KINDS]);
    switch (kind) {
      case "interval":
        interval.push(
          Number(await askText("Seconds between scheduled runs", { initial: "3600", validate: checkSeconds })),
        );
        break;
      case "cron":
        cron.push(await askText("Cron string", { initial: "0 0 * * *", validate: checkCron }));
        break;
      case "rrule":
        rrule.push(await askText("RRule string", { initial: "RRULE:FREQ=DAILY;INTERVAL=1", validate: checkRRule }));
        break;
    }
  } while (await askYesNo("Would you like to add another schedule?", false));
  const timezone = await askText("Timezone", { initial: "UTC", validate: checkTimezone });
  return {
    timezone,
    ...(cron.length === 0 ? {} : { cron }),
    ...(interval.length === 0 ? {} : { interval }),
    ...(rrule.length === 0 ? {} : { rrule }),
  };
}

function checkSeconds(text: string): string | undefined {
  return /^\d+$/.test(text) && Number(text) > 0 ? undefined : "It must be a whole number of seconds above 0.";
}

function checkCron(text: string): string | undefined {
  const cron = parseCron(text, true);
  return typeof cron === "string" ? cron : undefined;
}

function checkRRule(text: string): string | undefined {
  const rules = parseRuleSetText(text);
  return typeof rules === "string" ? rules : undefined;
}

function checkTimezone(text: string): string | undefined {
  return isTimezone(text) ? undefined : `"${text}" is no time zone; write an IANA name such as Europe/Berlin.`;
}
