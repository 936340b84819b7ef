import type { Command } from "commander";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import { isSettingName, SETTINGS } from "../config.ts";
import type { CliContext } from "../context.ts";
import { addConfirmOption, addJsonOption, wantsJson } from "../options.ts";
import { buildUnknownProfile, DEFAULT_PROFILE, saveProfiles } from "../profiles.ts";

const PROFILE_NAME_PATTERN = /^[A-Za-z0-9][\w.-]*$/;

export async function addProfileCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("profile")
    .summary("keep several sets of settings")
    .description("Keep several sets of settings, and choose the one in use.");
  addCreateCommand(group, context);
  addListCommand(group, context);
  addUseCommand(group, context);
  addInspectCommand(group, context);
  addDeleteCommand(group, context);
}

function getProfile(context: CliContext, name: string): Record<string, string> {
  const profile = context.sources.profiles.profiles[name];
  if (profile === undefined) {
    throw buildUnknownProfile(context.sources.profiles, name);
  }
  return profile;
}

function addCreateCommand(group: Command, context: CliContext): void {
  group
    .command("create")
    .description("Make a profile.")
    .argument("<name>")
    .option("--from <profile>", "copy the settings of this one")
    .action((name: string, { from }: { from?: string }) => {
      const { home, profiles } = context.sources;
      if (!PROFILE_NAME_PATTERN.test(name)) {
        throw new UserError("USAGE", `"${name}" cannot name a profile: use letters, digits, "-", "_" and ".".`);
      }
      if (profiles.profiles[name] !== undefined) {
        throw new UserError("ALREADY_EXISTS", `There is already a profile "${name}".`);
      }
      const settings = from === undefined ? {} : getProfile(context, from);
      saveProfiles(home, { ...profiles, profiles: { ...profiles.profiles, [name]: { ...settings } } });
      context.output.success(`Created profile "${name}".`);
      context.output.say(`Use it with: flowyard profile use ${name}`);
    });
}

function addListCommand(group: Command, context: CliContext): void {
  addJsonOption(group.command("ls").description("List the profiles.")).action((options) => {
    const { profiles, active } = context.sources.profiles;
    const rows = Object.keys(profiles).map((name) => ({ name, active: name === active }));
    if (wantsJson(options)) {
      context.output.json(rows);
      return;
    }
    context.output.table(rows, [
      { title: "Profile", value: ({ name }) => name },
      { title: "In use", value: ({ active: inUse }) => (inUse ? "yes" : "") },
    ]);
  });
}

function addUseCommand(group: Command, context: CliContext): void {
  group
    .command("use")
    .description("Choose the profile that commands use.")
    .argument("<name>")
    .action((name: string) => {
      getProfile(context, name);
      saveProfiles(context.sources.home, { ...context.sources.profiles, active: name });
      context.output.success(`Profile "${name}" is in use.`);
    });
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = group
    .command("inspect")
    .description("Show the settings of a profile; credentials are hidden.")
    .argument("[name]", "default: the one in use")
    .option("--show-secrets", "show credentials too");
  addJsonOption(command).action((given: string | undefined, options) => {
    const settings = getProfile(context, given ?? context.sources.profileName);
    const shown = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => {
        const secret = isSettingName(name) && SETTINGS[name].secret && options.showSecrets !== true;
        return [name, secret ? "********" : value];
      }),
    );
    if (wantsJson(options)) {
      context.output.json(shown);
    } else {
      context.output.fields(shown);
    }
  });
}

function addDeleteCommand(group: Command, context: CliContext): void {
  addConfirmOption(group.command("delete").description("Delete a profile.").argument("<name>")).action(
    async (name: string, options) => {
      const { home, profiles } = context.sources;
      getProfile(context, name);
      if (name === DEFAULT_PROFILE) {
        throw new UserError("USAGE", `Profile "${name}" cannot be deleted.`, {
          hint: "Remove its settings with `flowyard config unset`.",
        });
      }
      await confirmLoss(context, options, `Delete profile "${name}" and its settings?`);
      const { [name]: _deleted, ...others } = profiles.profiles;
      const active = profiles.active === name ? DEFAULT_PROFILE : profiles.active;
      saveProfiles(home, { active, profiles: others });
      context.output.success(`Deleted profile "${name}".`);
      if (active !== profiles.active) {
        context.output.say(`Profile "${active}" is in use now.`);
      }
    },
  );
}
