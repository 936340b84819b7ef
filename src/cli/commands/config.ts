import type { Command } from "commander";
import { UserError } from "../../shared/errors.ts";
import { DEFAULT_API_URL, isSettingName, SETTINGS, type SettingName } from "../config.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { buildProfilePath } from "../profiles.ts";
import { checkSetting, parseSettingName, saveSetting } from "../settings.ts";

const HIDDEN = "********";

export async function addConfigCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("config")
    .summary("view and set the settings of a profile")
    .description("View and set the settings of a profile. The environment wins over them.");
  group
    .command("set")
    .description("Store settings in the profile.")
    .argument("<setting=value...>")
    .action((pairs: string[]) => setSettings(context, pairs));
  group
    .command("unset")
    .description("Remove settings from the profile.")
    .argument("<setting...>")
    .option("-y, --yes", "accepted for Prefect's sake; nothing is asked")
    .action((names: string[]) => unsetSettings(context, names));
  const view = group
    .command("view")
    .description("Show the settings in use and where each comes from.")
    .option("--show-secrets", "show credentials too")
    .option("--show-sources", "accepted for Prefect's sake: sources are always shown")
    .option("--show-defaults", "show what is not set, too");
  addJsonOption(view).action((options) => viewSettings(context, options));
}

function setSettings(context: CliContext, pairs: string[]): void {
  const settings = pairs.map((pair): [SettingName, string] => {
    const at = pair.indexOf("=");
    if (at < 1) {
      throw new UserError("USAGE", `"${pair}" is not SETTING=VALUE.`, {
        hint: "For example: flowyard config set PREFECT_API_URL=http://127.0.0.1:4200/api",
      });
    }
    const name = parseSettingName(pair.slice(0, at));
    const value = pair.slice(at + 1);
    checkSetting(name, value);
    return [name, value];
  });
  for (const [name, value] of settings) {
    saveSetting(context.sources, name, value);
    context.output.success(`Set ${name} in profile "${context.sources.profileName}".`);
    if (name in context.sources.ownEnvironment) {
      context.output.warn(`${name} is also set in the environment, which wins.`);
    }
  }
}

function unsetSettings(context: CliContext, given: string[]): void {
  const stored = context.sources.profiles.profiles[context.sources.profileName] ?? {};
  const names = given.map(parseSettingName);
  for (const name of names) {
    if (!(name in stored)) {
      throw new UserError("NOT_FOUND", `${name} is not set in profile "${context.sources.profileName}".`);
    }
  }
  for (const name of names) {
    saveSetting(context.sources, name, undefined);
    context.output.success(`Unset ${name} in profile "${context.sources.profileName}".`);
  }
}

interface ShownSetting {
  name: string;
  value: string | null;
  source: string;
}

function listSettings(context: CliContext, withSecrets: boolean): ShownSetting[] {
  const { environment, ownEnvironment, profileName } = context.sources;
  return Object.keys(SETTINGS)
    .filter(isSettingName)
    .map((name) => {
      const value = environment[name];
      const source =
        value === undefined ? "default" : name in ownEnvironment ? "environment" : `profile "${profileName}"`;
      const fallback = name === "PREFECT_API_URL" ? DEFAULT_API_URL : null;
      const shown = value === undefined ? fallback : SETTINGS[name].secret && !withSecrets ? HIDDEN : value;
      return { name, value: shown, source };
    });
}

function viewSettings(
  context: CliContext,
  options: { showSecrets?: unknown; showDefaults?: unknown; json?: unknown },
): void {
  const all = listSettings(context, options.showSecrets === true);
  const shown = all.filter(
    ({ source, name }) => options.showDefaults === true || source !== "default" || name === "PREFECT_API_URL",
  );
  if (wantsJson(options)) {
    context.output.json(shown);
    return;
  }
  context.output.say(`Profile "${context.sources.profileName}" in ${buildProfilePath(context.sources.home)}`);
  context.output.table(shown, [
    { title: "Setting", value: ({ name }) => name },
    { title: "Value", value: ({ value }) => value ?? "(not set)" },
    { title: "From", value: ({ source }) => source },
  ]);
}
