import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist", "src/shared/api/schema.d.ts"] },
  js.configs.recommended,
  ts.configs.strict,
  hooks.configs.flat["recommended-latest"],
  {
    files: ["**/*.tsx"],
    ignores: ["src/shared/ui/FormList.tsx"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXMemberExpression[object.name='Form'][property.name='List']",
          message: "Form.List alone shows nowhere what is wrong with the list: use FormList.",
        },
      ],
    },
  },
);
