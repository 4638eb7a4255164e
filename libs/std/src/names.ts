/** Names that may become part of a subject, a file name or a metric label. */

const NAME = /^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/;

/** What {@link isName} accepts, for error messages. */
export const NAME_RULE =
  "1 to 64 characters of a-z, 0-9, '-' and '_', beginning and ending with a letter or digit";

/** True for names that cannot change the meaning of a NATS subject, a path or a header. */
export const isName = (text: string): boolean => NAME.test(text);
