/** One source file, parsed: what it imports, which globals it reads and which names it declares. */

import { parseSync } from "rolldown/utils";
import type { TextFile } from "./workspace.ts";

export interface Source extends TextFile {
  /** Module specifiers of imports, re-exports, `import()` and `import type`, without repeats. */
  readonly imports: readonly string[];
  /**
   * Names that are read and declared nowhere in the file, `Math.random` and `import.meta` among
   * them.
   */
  readonly globals: ReadonlySet<string>;
  readonly declared: ReadonlySet<string>;
  /** True where the file awaits or declares something async. */
  readonly asynchronous: boolean;
  /** Where strings, templates and regular expressions stand, in characters of the text. */
  readonly literals: readonly (readonly [from: number, to: number])[];
  /** True where every statement is `export ... from`. */
  readonly onlyReexports: boolean;
}

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string";

/** Parents whose `key` or `property` is a name of a member, not a reference. */
const MEMBER_FIELDS: Readonly<Record<string, readonly string[]>> = {
  MemberExpression: ["property"],
  Property: ["key"],
  MethodDefinition: ["key"],
  PropertyDefinition: ["key"],
  TSPropertySignature: ["key"],
  TSMethodSignature: ["key"],
  ImportSpecifier: ["imported"],
  ExportSpecifier: ["local", "exported"],
  MetaProperty: ["meta", "property"],
  TSNamedTupleMember: ["label"],
  TSQualifiedName: ["right"],
};

/** Fields that hold a pattern or name that the node declares. */
const DECLARING_FIELDS: Readonly<Record<string, readonly string[]>> = {
  VariableDeclarator: ["id"],
  FunctionDeclaration: ["id", "params"],
  FunctionExpression: ["id", "params"],
  ArrowFunctionExpression: ["params"],
  TSFunctionType: ["params"],
  TSMethodSignature: ["params"],
  TSDeclareFunction: ["id", "params"],
  TSEmptyBodyFunctionExpression: ["params"],
  ClassDeclaration: ["id"],
  ClassExpression: ["id"],
  CatchClause: ["param"],
  ImportSpecifier: ["local"],
  ImportDefaultSpecifier: ["local"],
  ImportNamespaceSpecifier: ["local"],
  TSInterfaceDeclaration: ["id"],
  TSTypeAliasDeclaration: ["id"],
  TSTypeParameter: ["name"],
  TSMappedType: ["key"],
  TSInferType: ["typeParameter"],
};

class Findings {
  readonly imports = new Set<string>();
  readonly references = new Set<string>();
  readonly declared = new Set<string>();
  readonly literals: [number, number][] = [];
  asynchronous = false;

  visit(node: Node): void {
    this.#note(node);
    const members = node.computed === true ? [] : (MEMBER_FIELDS[node.type] ?? []);
    const declaring = DECLARING_FIELDS[node.type] ?? [];
    for (const [field, value] of Object.entries(node)) {
      if (members.includes(field)) continue;
      if (declaring.includes(field)) this.#declare(value);
      for (const child of Array.isArray(value) ? value : [value]) {
        if (isNode(child)) this.visit(child);
      }
    }
  }

  #note(node: Node): void {
    if (node.type === "Identifier") this.references.add(String(node.name));
    if (node.type === "AwaitExpression" || node.async === true || node.await === true) {
      this.asynchronous = true;
    }
    if (
      node.type === "TemplateLiteral" ||
      (node.type === "Literal" && typeof node.raw === "string")
    ) {
      this.literals.push([Number(node.start), Number(node.end)]);
    }
    if (node.type === "MetaProperty") this.references.add("import.meta");
    if (node.type === "MemberExpression" && isNode(node.object) && isNode(node.property)) {
      if (node.object.name === "Math" && node.property.name === "random") {
        this.references.add("Math.random");
      }
    }
    // Imports, re-exports, `import()` and `import("...")` types all carry their module as `source`.
    if (isNode(node.source) && typeof node.source.value === "string") {
      this.imports.add(node.source.value);
    }
  }

  /** Names inside a pattern; default values are references and are visited as such. */
  #declare(pattern: unknown): void {
    if (Array.isArray(pattern)) {
      for (const part of pattern) this.#declare(part);
    }
    if (typeof pattern === "string") this.declared.add(pattern);
    if (!isNode(pattern)) return;
    if (pattern.type === "Identifier") this.declared.add(String(pattern.name));
    const parts = [
      pattern.properties,
      pattern.elements,
      pattern.argument,
      pattern.value,
      pattern.left,
      pattern.parameter,
      pattern.name,
    ];
    for (const part of parts) {
      if (isNode(part) || Array.isArray(part)) this.#declare(part);
    }
  }
}

/** @throws Error naming the file when it does not parse. */
export function parseSource(file: TextFile): Source {
  const parsed = parseSync(file.path, file.text);
  const problem = parsed.errors[0];
  if (problem !== undefined) throw new Error(`${file.path}: ${problem.message}`);
  const findings = new Findings();
  const program = parsed.program as unknown as Node;
  findings.visit(program);
  const statements = parsed.program.body;
  return {
    ...file,
    imports: [...findings.imports],
    globals: new Set([...findings.references].filter((name) => !findings.declared.has(name))),
    declared: findings.declared,
    literals: findings.literals,
    asynchronous: findings.asynchronous,
    onlyReexports: statements.every(
      (statement) =>
        statement.type === "ExportAllDeclaration" ||
        (statement.type === "ExportNamedDeclaration" && statement.source !== null),
    ),
  };
}
