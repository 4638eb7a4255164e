/** CPU cores as a device of the cluster, sized to the machine or its container. */

import { workerFields } from "@millrace/worker";

export const fields = workerFields("cpu-worker", "cpu");
