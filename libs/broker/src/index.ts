export { Brokers, type BrokersOptions, startBrokers } from "./cluster.ts";
export { type ClusterConfig, renderServerConfig, type ServerConfig } from "./config.ts";
export {
  createCredentials,
  createRouteSecret,
  type Credential,
  type Credentials,
  seedFileOf,
} from "./credentials.ts";
export { findServer, type FindOptions, ServerNotFoundError } from "./find.ts";
export {
  type Account,
  type Grant,
  inboxPrefix,
  PERMISSIONS,
  renderPermissionsTable,
  type User,
  USERS,
} from "./permissions.ts";
export { Broker, type BrokerOptions, startBroker, SERVER_ENV } from "./start.ts";
export { isNewEnough, SERVER_VERSION } from "./version.ts";
export { aptWay, type Attempt, releaseWay, type Way } from "./ways.ts";
