import { expect, test } from "vitest";
import { type Problem, toFields } from "./problem";

const problem = (more: Partial<Problem>): Problem => ({
  status: 422,
  title: "",
  detail: "wrong",
  code: "invalid",
  ...more,
});

test("an error goes to its field, however deep", () => {
  const { fields, rest } = toFields(problem({ errors: [{ field: "items.0.quantity", detail: "write 1" }] }), [
    ["items", 0, "quantity"],
    ["name"],
  ]);
  expect(fields).toEqual([{ name: ["items", 0, "quantity"], errors: ["write 1"] }]);
  expect(rest).toEqual([]);
});

test("an error inside a field goes to the field around it", () => {
  const { fields } = toFields(problem({ errors: [{ field: "user_ids.3", detail: "nobody" }] }), [["user_ids"]]);
  expect(fields).toEqual([{ name: ["user_ids"], errors: ["nobody"] }]);
});

test("without a list of errors the field itself counts, with its cure", () => {
  const { fields } = toFields(problem({ field: "name", detail: "taken", cure: "Choose another." }), [["name"]]);
  expect(fields).toEqual([{ name: ["name"], errors: ["taken. Choose another."] }]);
});

test("the server's name may differ from the form's", () => {
  const { fields } = toFields(problem({ field: "spec_id" }), [["offer"]], { spec_id: "offer" });
  expect(fields[0]?.name).toEqual(["offer"]);
});

test("what belongs to no field is not lost", () => {
  expect(toFields(problem({}), [["name"]]).rest).toEqual(["wrong"]);
  const { fields, rest } = toFields(
    problem({
      errors: [
        { field: "body", detail: "empty" },
        { field: "name", detail: "short" },
      ],
    }),
    [["name"]],
  );
  expect(rest).toEqual(["empty"]);
  expect(fields).toEqual([{ name: ["name"], errors: ["short"] }]);
});
