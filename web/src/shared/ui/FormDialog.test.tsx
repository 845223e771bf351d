import { screen, waitFor, within } from "@testing-library/react";
import { Form, Input } from "antd";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import { dialog, gone } from "../../test/act";
import { refuse, server, UNREACHABLE } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { api, ok } from "../api/client";
import { FormDialog } from "./FormDialog";

interface Values {
  name: string;
  description?: string;
  secret?: string;
}
const PATH = "/api/v1/groups";

function Group({ onDone }: { onDone?: (made: unknown) => void }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button onClick={() => setOpen(true)}>Begin</button>
      <FormDialog<Values, unknown>
        title="A group"
        name="group"
        open={open}
        onClose={() => setOpen(false)}
        rename={{ slug: "name" }}
        submit={({ name, description = "" }) =>
          ok(api.POST(PATH, { body: { name, description, user_ids: [], manager_ids: [] } }))
        }
        onDone={onDone}
      >
        <Form.Item label="Name" name="name" rules={[{ required: true, message: "This is needed" }]}>
          <Input />
        </Form.Item>
        <Form.Item label="Description" name="description">
          <Input />
        </Form.Item>
        <Form.Item label="Hidden" name="secret" hidden>
          <Input />
        </Form.Item>
      </FormDialog>
    </>
  );
}

async function begin(onDone?: (made: unknown) => void) {
  const { user } = show(<Group onDone={onDone} />);
  await user.click(screen.getByText("Begin"));
  const window = within(await dialog());
  return {
    user,
    window,
    name: window.getByLabelText("Name"),
    description: window.getByLabelText("Description"),
    send: () => user.click(window.getByRole("button", { name: "OK" })),
  };
}

test("what is missing is said at its field, and nothing is sent", async () => {
  const { window, name, send } = await begin();
  await send();
  expect(await window.findByText("This is needed")).toBeVisible();
  expect(name).toHaveAttribute("aria-invalid", "true");
  expect(server.calls("post", PATH)).toEqual([]);
});

test("the first field has the focus, and Enter sends", async () => {
  const done = vi.fn();
  server.on("post", PATH, make.groupDetail({ name: "lab" }));
  const { user, name } = await begin(done);
  await waitFor(() => expect(name).toHaveFocus());
  await user.keyboard("lab{Enter}");
  await waitFor(() => expect(done).toHaveBeenCalledOnce());
  expect(server.sent("post", PATH)).toEqual({ name: "lab", description: "", user_ids: [], manager_ids: [] });
});

test("while it is sent it cannot be sent again; then it closes", async () => {
  const release = server.hold("post", PATH);
  const { user, window, name, send } = await begin();
  await user.type(name, "lab");
  await send();
  const button = window.getByRole("button", { name: /OK/ });
  await waitFor(() => expect(button).toHaveClass("ant-btn-loading"));
  await user.click(button);
  await user.type(name, "{Enter}");
  const one = await dialog();
  release(make.groupDetail());
  await gone(one);
  expect(server.calls("post", PATH)).toHaveLength(1);
});

test("a refusal of one field stands at the field with its cure, and what was typed stays", async () => {
  server.on("post", PATH, refuse(409, { field: "name", detail: "The name is taken", cure: "Choose another." }));
  const { user, window, name, description, send } = await begin();
  await user.type(name, "lab");
  await user.type(description, "ours");
  await send();
  expect(await window.findByText("The name is taken. Choose another.")).toBeVisible();
  expect(name).toHaveAttribute("aria-invalid", "true");
  expect(name).toHaveValue("lab");
  expect(description).toHaveValue("ours");
  expect(window.queryByRole("alert", { name: /taken/ })).toBeNull();
});

test("the server's name of a field may be another than the form's", async () => {
  server.on("post", PATH, refuse(422, { errors: [{ field: "slug", detail: "Lowercase letters only" }] }));
  const { user, window, name, send } = await begin();
  await user.type(name, "LAB");
  await send();
  expect(await window.findByText("Lowercase letters only")).toBeVisible();
  expect(name).toHaveAttribute("aria-invalid", "true");
});

test("each of several errors stands at its field until that is changed", async () => {
  const errors = [
    { field: "name", detail: "Too short" },
    { field: "description", detail: "Too rude" },
  ];
  server.on("post", PATH, refuse(422, { errors }));
  const { user, window, name, send } = await begin();
  await user.type(name, "x");
  await send();
  expect(await window.findByText("Too short")).toBeVisible();
  expect(window.getByText("Too rude")).toBeVisible();
  await user.type(name, "y");
  await waitFor(() => expect(window.queryByText("Too short")).toBeNull());
  expect(window.getByText("Too rude")).toBeVisible();
});

test.each([["nowhere"], ["secret"]])(
  "what belongs to no field that is seen stands above the buttons: %s",
  async (field) => {
    server.on("post", PATH, refuse(403, { field, detail: "The wallet is empty", cure: "Ask for a recharge." }));
    const { user, window, name, send } = await begin();
    await user.type(name, "lab");
    await send();
    const alert = await window.findByText("The wallet is empty");
    expect(alert).toBeVisible();
    expect(window.getByText("Ask for a recharge.")).toBeVisible();
  },
);

test.each([["nowhere"], ["name"]])("a refusal goes when what it was about changes: %s", async (field) => {
  server.on("post", PATH, refuse(402, { field, detail: "The wallet is empty" }));
  const { user, window, name, description, send } = await begin();
  await user.type(name, "lab");
  await send();
  expect(await window.findByText("The wallet is empty")).toBeVisible();
  await user.type(description, "another payer");
  await waitFor(() => expect(window.queryByText("The wallet is empty")).toBeNull());
});

test("a second refusal takes the first one's place", async () => {
  server.on("post", PATH, refuse(409, { field: "description", detail: "First" }));
  const { user, window, name, send } = await begin();
  await user.type(name, "lab");
  await send();
  expect(await window.findByText("First")).toBeVisible();
  server.on("post", PATH, refuse(409, { detail: "Second" }));
  await send();
  expect(await window.findByText("Second")).toBeVisible();
  await waitFor(() => expect(window.queryByText("First")).toBeNull());
});

test("a server that is away is told beside the dialog, which stays as it is", async () => {
  server.on("post", PATH, UNREACHABLE);
  const { user, name, send } = await begin();
  await user.type(name, "lab");
  await send();
  expect(await screen.findByText("The server cannot be reached.")).toBeVisible();
  expect(name).toHaveValue("lab");
});

test("whether it worked is asked again with the same key while no answer came", async () => {
  server.on("post", PATH, UNREACHABLE);
  const { user, name, send } = await begin();
  await user.type(name, "lab");
  await send();
  await screen.findByText("The server cannot be reached.");
  server.on("post", PATH, make.groupDetail());
  await send();
  await gone(await dialog());
  const keys = server.calls("post", PATH).map(({ headers }) => headers.get("Idempotency-Key"));
  expect(keys).toHaveLength(2);
  expect(keys[0]).toBeTruthy();
  expect(keys[1]).toBe(keys[0]);
});

test("the session's token against forgery goes along", async () => {
  server.on("post", PATH, make.groupDetail());
  const { user, name, send } = await begin();
  await user.type(name, "lab");
  await send();
  await gone(await dialog());
  expect(server.calls("post", PATH)[0]?.headers.get("X-CSRF-Token")).toBe("csrf-1");
});

test("an opened dialog begins empty, and what is shown is asked for again once it is done", async () => {
  server.on("post", PATH, make.groupDetail());
  const { user, name } = await begin();
  await user.type(name, "lab");
  const one = await dialog();
  await user.click(within(one).getByRole("button", { name: "Cancel" }));
  await gone(one);
  await user.click(screen.getByText("Begin"));
  expect(within(await dialog()).getByLabelText("Name")).toHaveValue("");
});
