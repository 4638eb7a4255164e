export { fields } from "./config.ts";
