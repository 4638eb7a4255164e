export { type Heard, Membership, type MembershipOptions } from "./membership.ts";
