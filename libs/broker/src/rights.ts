/** What using a stream takes, as subjects of JetStream's interface. */

/**
 * Looking up single messages: all that keys and values take, and what is read by its number. The
 * answer is the server's JSON around the message, wherever it goes: no bytes that somebody chose.
 */
export const lookUpStream = (stream: string): readonly string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
];

/**
 * Reading a stream: single messages, and ordered consumers for watches and models. Whoever may
 * make a consumer says where it delivers, and the server asks nobody: with the right to write to
 * the same stream that is the right to publish anywhere, so it is for who needs it alone.
 */
export const readStream = (stream: string): readonly string[] => [
  ...lookUpStream(stream),
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
  // Flow control of ordered consumers is answered by a publish of the client's.
  `$JS.FC.${stream}.>`,
];

/** Creating, changing and removing a stream and what is in it, on top of reading. */
export const manageStream = (stream: string): readonly string[] => [
  ...readStream(stream),
  `$JS.API.STREAM.CREATE.${stream}`,
  `$JS.API.STREAM.UPDATE.${stream}`,
  `$JS.API.STREAM.DELETE.${stream}`,
  `$JS.API.STREAM.PURGE.${stream}`,
  `$JS.API.STREAM.MSG.DELETE.${stream}`,
];
