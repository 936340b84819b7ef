import type { CreateFlowRunFromDeployment } from "../../prefect-api/deployments.ts";
import { compileSchema, type SchemaCache, type Validate } from "../../prefect-api/json-schema.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import { errorMessage, UserError } from "../../shared/errors.ts";
import type { RunSource } from "../../storage/deployment-rows.ts";
import type { Tx } from "../../storage/store.ts";
import { hydrateParametersOf, listVariableNames } from "./hydrate-parameters.ts";

/**
 * The parameters of a new run of a deployment: its own over those of the deployment, filled in from variables, checked
 * against the deployment's schema. Throws UserError INVALID_PARAMETERS, INVALID_PARAMETER_TEMPLATE.
 */
export async function resolveParameters(
  tx: Tx,
  schemas: SchemaCache,
  source: RunSource,
  body: CreateFlowRunFromDeployment,
): Promise<JsonObject> {
  const merged = { ...source.parameters, ...body.parameters };
  const names = listVariableNames(merged);
  const variables = names.length === 0 ? new Map<string, unknown>() : await tx.variables.listValues(names);
  const parameters = hydrateParametersOf("flow run", merged, (name) => variables.get(name));
  if (body.enforce_parameter_schema ?? source.enforce_parameter_schema) {
    const problem = findParameterValidator(schemas, source)(parameters);
    if (problem !== undefined) {
      throw new UserError("INVALID_PARAMETERS", `Error creating flow run: ${problem}`);
    }
  }
  return parameters;
}

function findParameterValidator(schemas: SchemaCache, source: RunSource): Validate {
  const { parameterSchema } = source;
  if (parameterSchema === null) {
    throw new UserError(
      "INVALID_PARAMETERS",
      "Error creating flow run: parameter schema enforcement is enabled and the deployment does not have a valid parameter schema.",
    );
  }
  const key = `parameters:${parameterSchema.text}`;
  return schemas.find(key) ?? schemas.put(key, compileParameterSchema(parameterSchema.load()));
}

function compileParameterSchema(schema: JsonObject): Validate {
  try {
    return compileSchema(schema, { ignoreRequired: false, allowNullWithDefault: false });
  } catch (error) {
    throw new UserError("INVALID_PARAMETERS", `Error creating flow run: Invalid schema: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
