import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { choose, dialog } from "../../test/act";
import { page, refuse, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { CreateNotebook } from "./CreateNotebook";

const PATH = "/api/v1/notebooks";
const lab = make.group({ id: "grp_lab", name: "lab" });
const red = make.group({ id: "grp_red", name: "red" });
const small = make.offered({ id: "spec_s", name: "small" });
const never = make.offered({ id: "spec_n", name: "never", free_now: 0, at_best: 0 });
const busy = make.offered({ id: "spec_b", name: "busy", free_now: 0 });

beforeEach(() => {
  server.on("get", "/api/v1/algorithms", page([make.asset({ name: "yolo" })]));
  server.on("get", "/api/v1/datasets", page<never>([]));
  server.on("get", "/api/v1/images", page([make.image({ id: "img_1", name: "torch" })]));
  server.on("get", "/api/v1/pools", page([make.pool({ id: "pool_1", notebook_specs: [small, never, busy] })]));
  server.on("get", "/api/v1/ratings", { average: null, count: 0, distribution: {} } as never);
  server.on("get", "/api/v1/groups", page([lab]));
  server.on("post", "/api/v1/estimates", make.estimate());
});

async function begin() {
  const close = vi.fn();
  const { user } = show(<CreateNotebook open onClose={close} />);
  const window = within(await dialog());
  await window.findByRole("radio", { name: /small/ });
  return { user, window, close, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

async function fill() {
  const all = await begin();
  await all.user.type(all.window.getByLabelText("Name"), "first");
  await choose(all.user, all.window.getByLabelText("Image"), "torch");
  await all.user.click(all.window.getByRole("radio", { name: /small/ }));
  return all;
}

test("name, image and specification are needed", async () => {
  const { window, send } = await begin();
  await send();
  expect(await window.findAllByText("This is needed")).toHaveLength(3);
  expect(server.calls("post", PATH)).toEqual([]);
});

test("it is created as it was chosen, and said", async () => {
  server.on("post", PATH, make.notebook({ name: "first" }));
  const { user, window, close, send } = await fill();
  await user.type(window.getByLabelText("At most (UNC)"), "2.5");
  await send();
  await waitFor(() => expect(close).toHaveBeenCalledOnce());
  expect(server.sent("post", PATH)).toMatchObject({
    name: "first",
    image_id: "img_1",
    pool_id: "pool_1",
    spec_id: "spec_s",
    payer: "user",
    tasks: 1,
    max_cost: "2.5",
    start: true,
    expected_price: "1.500000",
  });
  expect(await screen.findByText(/first/, { selector: ".ant-message *" })).toBeVisible();
});

describe("a price that has changed meanwhile", () => {
  const changed = refuse(409, {
    code: "price_changed",
    field: "expected_price",
    detail: "Specification 'small' costs 60 UNC per hour, not 1.5.",
    expected_price: "1.5",
    price: "60",
  });

  async function asked() {
    server.on("post", PATH, ({ body }) => (body.expected_price === "60" ? make.notebook({ name: "first" }) : changed));
    const all = await fill();
    await all.send();
    await screen.findByText(/^It was shown at/);
    const question = await dialog();
    expect(question).toHaveTextContent("It was shown at 1.5 UNC per hour and costs 60 UNC per hour now.");
    return { ...all, question };
  }

  test("is said with both prices, and accepted it is ordered at the new one", async () => {
    const { user, close, question } = await asked();
    await user.click(within(question).getByRole("button", { name: "Start at the new price" }));
    await waitFor(() => expect(close).toHaveBeenCalledOnce());
    expect(server.calls("post", PATH).map(({ body }) => body.expected_price)).toEqual(["1.500000", "60"]);
  });

  test("and not accepted nothing is ordered, and what was filled in stays", async () => {
    const { user, window, close, question } = await asked();
    await user.click(within(question).getByRole("button", { name: "Cancel" }));
    await waitFor(() => expect(window.getByText(/costs 60 UNC per hour, not 1.5/)).toBeVisible());
    expect(server.calls("post", PATH)).toHaveLength(1);
    expect(close).not.toHaveBeenCalled();
    expect(window.getByLabelText("Name")).toHaveValue("first");
  });
});

test("what fits no server cannot be chosen; what is busy can", async () => {
  const { window } = await begin();
  expect(window.getByRole("radio", { name: /never/ })).toBeDisabled();
  expect(window.getByText("fits no server of this pool, not even an empty one")).toBeVisible();
  expect(window.getByRole("radio", { name: /busy/ })).toBeEnabled();
  expect(window.getByText("none free: it will wait")).toBeVisible();
});

test("where nothing is offered, it says whom to ask", async () => {
  server.on("get", "/api/v1/pools", page([make.pool()]));
  show(<CreateNotebook open onClose={() => {}} />);
  expect(await screen.findByText(/Ask a miner or an operator/)).toBeVisible();
});

test("an algorithm without a ready version cannot be chosen", async () => {
  const { user, window } = await begin();
  await user.click(window.getByLabelText("Algorithm"));
  const option = await screen.findByTitle("yolo · not ready");
  expect(option).toHaveClass("ant-select-item-option-disabled");
});

describe("the estimate", () => {
  test("comes when a specification is chosen, and follows what is typed", async () => {
    const { user, window } = await begin();
    expect(server.calls("post", "/api/v1/estimates")).toEqual([]);
    await user.click(window.getByRole("radio", { name: /small/ }));
    const estimate = await window.findByRole("status");
    expect(estimate).toHaveTextContent("Estimated cost: 1.5 UNC/hour");
    expect(estimate).toHaveTextContent("In 1 h it costs 1.5 UNC; 0.025 UNC are set aside at the start.");
    expect(estimate).toHaveTextContent("It can run for 6 h 30 min, until the machine hours are used up.");
    await user.type(window.getByLabelText("At the longest (hours)"), "3");
    await waitFor(() =>
      expect(server.sent("post", "/api/v1/estimates")).toMatchObject({ max_hours: 3, hours: 3, payer: "user" }),
    );
  });

  test("leaves out a limit that is half typed", async () => {
    const { user, window } = await fill();
    await user.type(window.getByLabelText("At most (UNC)"), "2.");
    expect(await window.findByText(/An amount of UNC/)).toBeVisible();
    expect(server.sent("post", "/api/v1/estimates")).toMatchObject({ max_cost: null });
  });

  test("says why a start would be refused, and what to do", async () => {
    server.on("post", "/api/v1/estimates", make.estimate({ refusal: "The wallet has 0 UNC", cure: "Ask for 1 UNC." }));
    const { window } = await fill();
    expect(await window.findByRole("status")).toHaveTextContent("The wallet has 0 UNC. Ask for 1 UNC.");
  });
});

describe("a refusal for lack of money", () => {
  const words = "The wallet has 0 UNC available.";

  test("is said once, though the estimate says it too", async () => {
    server.on("post", "/api/v1/estimates", make.estimate({ refusal: words }));
    server.on("post", PATH, refuse(402, { detail: words, cure: "Ask for a recharge.", code: "insufficient_funds" }));
    const { window, send } = await fill();
    expect(await window.findByText(words)).toBeVisible();
    await send();
    expect(await window.findByText("Ask for a recharge.")).toBeVisible();
    await waitFor(() => expect(window.getAllByText(words)).toHaveLength(1));
  });

  test("goes when another payer is chosen, and what was filled in stays", async () => {
    server.on("post", PATH, refuse(402, { detail: words, code: "insufficient_funds" }));
    const { user, window, send } = await fill();
    await send();
    expect(await window.findByText(words)).toBeVisible();
    await user.click(window.getByRole("radio", { name: "A group's machine hours" }));
    await waitFor(() => expect(window.queryByText(words)).toBeNull());
    expect(window.getByLabelText("Name")).toHaveValue("first");
    expect(window.getByRole("radio", { name: /small/ })).toBeChecked();
  });
});

describe("who pays", () => {
  test("is not asked of somebody who is in no group", async () => {
    server.on("get", "/api/v1/groups", page<never>([]));
    const { window } = await begin();
    expect(window.getByText("My machine hours")).not.toBeVisible();
    expect(window.queryByLabelText("Group")).toBeNull();
  });

  test("a group that pays must be named", async () => {
    const { user, window, send } = await fill();
    await user.click(window.getByRole("radio", { name: "A group's machine hours" }));
    await window.findByLabelText("Group");
    await send();
    expect(await window.findByText("This is needed")).toBeVisible();
    await choose(user, window.getByLabelText("Group"), "lab");
    server.on("post", PATH, make.notebook());
    await send();
    await waitFor(() => expect(server.sent("post", PATH)).toMatchObject({ payer: "group", group_id: "grp_lab" }));
  });

  test("whose quota counts is asked of somebody in several groups", async () => {
    server.on("get", "/api/v1/groups", page([lab, red]));
    const { window } = await begin();
    expect(await window.findByLabelText("Group")).toBeInTheDocument();
    expect(window.getByText(/Whose quota counts/)).toBeVisible();
  });
});

/** Every field that the server may name. */
const FIELDS: Record<keyof Sent<typeof PATH, "post">, true> = {
  name: true,
  description: true,
  algorithm_id: true,
  algorithm_version: true,
  image_id: true,
  dataset_id: true,
  dataset_version: true,
  pool_id: true,
  spec_id: true,
  tasks: true,
  start: true,
  payer: true,
  group_id: true,
  max_cost: true,
  max_hours: true,
  expected_price: true,
};

test.each([
  ["in a group", [lab], Object.keys(FIELDS)],
  ["in no group", [], ["payer", "group_id"]],
])("every refusal is seen, also in what is folded away: %s", async (_, groups, fields) => {
  server.on("get", "/api/v1/groups", page(groups));
  const { user } = await fill();
  await everyRefusalIsSeen(user, fields, (refusal) => server.on("post", PATH, refusal));
});

test("a number of tasks that is left out is said, though it is folded away", async () => {
  const { user, window, send } = await fill();
  await user.clear(window.getByLabelText("Number of tasks"));
  expect(window.getByLabelText("Number of tasks")).not.toBeVisible();
  await send();
  expect(await window.findByText("This is needed")).toBeVisible();
});
