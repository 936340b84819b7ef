import { describePlaneAway } from "./plane-away/outlive.ts";

describePlaneAway(15);
