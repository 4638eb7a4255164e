/** The forecast of a model as the forecaster keeps it in the cluster. */

import type { Forecast } from "@millrace/forecasting";
import type { Documents } from "@millrace/history";
import { checkValue, forecastSchema } from "@millrace/protocol";
import { valueOf } from "./failure.ts";

/** Undefined where the forecaster has made none. @throws CommandError for one of another form. */
export async function readForecast(
  documents: Documents,
  model: string,
): Promise<Forecast | undefined> {
  const document = valueOf(await documents.get(model));
  if (document === undefined) return undefined;
  const { compared, overruled, requestQuantiles, ...rest } = valueOf(
    checkValue(forecastSchema, document.content),
  );
  return {
    ...rest,
    ...(compared === undefined ? {} : { compared }),
    ...(overruled === undefined ? {} : { overruled }),
    ...(requestQuantiles === undefined ? {} : { requestQuantiles }),
  };
}
