import { describeKills } from "../system/plane-kill/describe-kills.ts";

const SEEDS = Array.from({ length: 50 }, (_, index) => index + 1);

describeKills("SQLite", SEEDS);
describeKills("PostgreSQL", SEEDS);
