import { common } from "./common";
import { console } from "./console";
import { hardware } from "./hardware";
import { money } from "./money";
import { people } from "./people";

/** Every word of both ends in Chinese. */
export const zh = { ...common, ...console, ...hardware, ...money, ...people };
