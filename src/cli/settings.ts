import { suggestNearest } from "../project/did-you-mean.ts";
import { UserError } from "../shared/errors.ts";
import { type ConfigSources, isSettingName, SETTINGS, type SettingName } from "./config.ts";
import { saveProfiles } from "./profiles.ts";

/** Throws UserError CONFIG_INVALID for a name that is no setting. */
export function parseSettingName(name: string): SettingName {
  const upper = name.toUpperCase();
  if (!isSettingName(upper)) {
    const known = Object.keys(SETTINGS);
    throw new UserError("CONFIG_INVALID", `There is no setting "${name}".${suggestNearest(name, known)}`, {
      hint: `Settings: ${known.join(", ")}.`,
    });
  }
  return upper;
}

/** Throws UserError CONFIG_INVALID when the value is not what the setting allows. */
export function checkSetting(name: SettingName, value: string): void {
  const parsed = SETTINGS[name].schema.safeParse(value);
  if (!parsed.success) {
    const problem = parsed.error.issues[0]?.message ?? "is not allowed";
    throw new UserError("CONFIG_INVALID", `${name} ${problem}.`);
  }
}

/** Writes the value into the profile in use; undefined removes it. */
export function saveSetting(sources: ConfigSources, name: SettingName, value: string | undefined): void {
  const { home, profiles, profileName } = sources;
  const { [name]: _previous, ...others } = profiles.profiles[profileName] ?? {};
  const settings = value === undefined ? others : { ...others, [name]: value };
  // Later changes of the same command start from this one.
  profiles.profiles[profileName] = settings;
  saveProfiles(home, profiles);
}
