/** The members, and the chain of those that stand in where too little is known to weigh them. */

import type { Member } from "./member.ts";
import { fourier, fourierSmooth } from "./members/fourier.ts";
import { hierarchical } from "./members/hierarchical.ts";
import { holtWintersDay, holtWintersDouble, holtWintersWeek } from "./members/holt-winters.ts";
import { persistence, profileLevel, seasonalNaiveDay, seasonalNaiveWeek } from "./members/naive.ts";

export const MEMBERS: readonly Member[] = [
  hierarchical,
  holtWintersDouble,
  fourier,
  fourierSmooth,
  holtWintersWeek,
  profileLevel,
  seasonalNaiveWeek,
  holtWintersDay,
  seasonalNaiveDay,
];

export const CHAIN: readonly Member[] = [
  profileLevel,
  seasonalNaiveWeek,
  seasonalNaiveDay,
  persistence,
];
