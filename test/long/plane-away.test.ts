import { describePlaneAway } from "../system/plane-away/outlive.ts";

// The original gives up a run that ended more than about a minute before the plane is back.
describePlaneAway(600);
