import { common } from "./common";
import { console } from "./console";
import { hardware } from "./hardware";
import { money } from "./money";
import { people } from "./people";

/** Every word of both ends in English, a file for each area. `zh` has the same keys; a test says so. */
export const en = { ...common, ...console, ...hardware, ...money, ...people };
