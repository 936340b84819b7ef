import packageJson from "../../package.json" with { type: "json" };

export const FLOWYARD_VERSION: string = packageJson.version;
