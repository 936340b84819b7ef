import { loadMachine } from "../../scripts/setup/machine.ts";
import { CLAIM_SECONDS } from "../../src/orchestration/claims/claim-rules.ts";
import { describeNetworkCut } from "./chaos/describe-network-cut.ts";
import { missingNetwork } from "./chaos/own-network.ts";

// Longer than a claim lasts that nothing was started for.
describeNetworkCut(await loadMachine(), CLAIM_SECONDS + 3, await missingNetwork());
