// The page part of class_lab, for JupyterLab and Notebook: messages of the server, own packages, and Excel files. It is
// written by hand in the form that Lab's loader expects (webpack's module federation): it is small and needs no build.
(() => {
  'use strict';

  let scope;

  /** One of Lab's own modules, whatever its version. */
  async function shared(name) {
    const [version] = Object.values(scope[name]);
    return (await version.get())();
  }

  const OUT_OF_MEMORY = 'https://coursehub.invalid/kernel-out-of-memory';
  const VERSIONS = 'coursehub:earlier-versions';
  const REMOVE = 'coursehub:remove-own-packages';

  async function plugins() {
    const { Dialog, ICommandPalette, Notification, showDialog, showErrorMessage } = await shared('@jupyterlab/apputils');
    const { ServerConnection } = await shared('@jupyterlab/services');
    const { URLExt } = await shared('@jupyterlab/coreutils');
    const { IMainMenu } = await shared('@jupyterlab/mainmenu');
    const { ABCWidgetFactory, DocumentWidget } = await shared('@jupyterlab/docregistry');
    const { Widget } = await shared('@lumino/widgets');

    /** Shows a complete message: Lab cuts a notification after about 140 characters. */
    function say(title, body) {
      return showDialog({ title, body, buttons: [Dialog.okButton()] });
    }

    async function ask(app, method, what = 'own') {
      const settings = app.serviceManager.serverSettings;
      const answer = await ServerConnection.makeRequest(URLExt.join(settings.baseUrl, `class/${what}`), { method }, settings);
      if (!answer.ok) {
        throw new ServerConnection.ResponseError(answer, answer.statusText);
      }
      return method === 'GET' ? answer.json() : null;
    }

    /** Looks now and each minute. Not again if this page is newer than its server, which then does not know the question. */
    function eachMinute(app, look) {
      const again = () => look().catch(problem => {
        if (problem.response?.status === 404) {
          clearInterval(timer);
        }
      });
      const timer = setInterval(again, 60000);
      void app.started.then(again);
    }

    const messages = {
      id: 'coursehub-class:messages',
      autoStart: true,
      activate: app => {
        app.serviceManager.events.stream.connect((_, event) => {
          if (event.schema_id === OUT_OF_MEMORY) {
            say('Out of memory', event.message);
          }
        });
      }
    };

    const own = {
      id: 'coursehub-class:own-packages',
      autoStart: true,
      optional: [ICommandPalette, IMainMenu],
      activate: (app, palette, menu) => {
        app.commands.addCommand(REMOVE, {
          label: 'Remove My Own Packages…',
          caption: 'Remove everything that you installed with pip; what the course has stays',
          execute: async () => {
            const found = await ask(app, 'GET');
            const all = [...found.own, ...found.earlier];
            const body = all.length
              ? `${all.join(', ')}. What the course has stays, and so do your files. Restart kernels afterwards.`
              : 'You have installed none.';
            const buttons = all.length
              ? [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove All' })]
              : [Dialog.okButton()];
            const answer = await showDialog({ title: 'Remove your own packages?', body, buttons });
            if (!answer.button.accept || !all.length) {
              return;
            }
            try {
              await ask(app, 'DELETE');
              Notification.success('Your own packages are removed. Restart kernels that used them.');
            } catch (problem) {
              await showErrorMessage('Your own packages are not removed', problem);
            }
          }
        });
        palette?.addItem({ command: REMOVE, category: 'Settings' });
        menu?.settingsMenu.addGroup([{ command: REMOVE }], 90);
        void app.started.then(() => ask(app, 'GET')).then(found => {
          if (found.broken.length) {
            void say(
              'Some of your own packages do not work',
              `${found.broken.join('; ')}. Install them again with %pip, or use Settings > Remove My Own Packages.`
            );
          }
          if (found.earlier.length && !found.own.length) {
            const again = `To have your own packages again: %pip install ${found.earlier.join(' ')}`;
            Notification.info("The course's Python is a new one, without your own packages.", {
              autoClose: false,
              actions: [{ label: 'How to get them back', callback: () => void say('Your own packages', again) }]
            });
          }
        }, () => undefined);
      }
    };

    const disk = {
      id: 'coursehub-class:disk-space',
      autoStart: true,
      activate: app => {
        let told = 0;
        let shown = null;
        const look = async () => {
          const { level, message } = await ask(app, 'GET', 'disk');
          if (level === told) {
            return;
          }
          told = level;
          if (shown) {
            Notification.dismiss(shown);
          }
          shown = level ? Notification.emit(message, level > 1 ? 'error' : 'warning', { autoClose: false }) : null;
        };
        eachMinute(app, look);
      }
    };

    const packages = {
      id: 'coursehub-class:newer-packages',
      autoStart: true,
      activate: app => {
        let told = false;
        const look = async () => {
          const { newer } = await ask(app, 'GET', 'packages');
          if (newer && !told) {
            told = true;
            const how =
              'Save your work and choose File > Hub Control Panel, then Stop My Server and Start My Server. Your files stay. ' +
              'Until then your server works as before.';
            Notification.info('The course has new packages. Restart your server to get them.', {
              autoClose: false,
              actions: [{ label: 'How to restart', callback: () => void say('New packages', how) }]
            });
          }
        };
        eachMinute(app, look);
      }
    };

    const idle = {
      id: 'coursehub-class:idle',
      autoStart: true,
      activate: app => {
        let shown = null;
        const done = () => {
          if (shown) {
            Notification.dismiss(shown);
          }
          shown = null;
        };
        const stay = {
          label: 'I am still here',
          displayType: 'accent',
          callback: () => void ask(app, 'POST', 'idle').then(done, problem => showErrorMessage('Your server may stop', problem))
        };
        const look = async () => {
          const { minutes } = await ask(app, 'GET', 'idle');
          if (minutes === null) {
            done();
            return;
          }
          const when = minutes > 1 ? `in ${minutes} minutes` : 'within minutes';
          const message = `Nobody uses this server, so it stops ${when}. Your files stay; variables of notebooks are lost.`;
          if (!shown) {
            shown = Notification.emit(message, 'warning', { autoClose: false, actions: [stay] });
          } else if (Notification.manager.has(shown)) {
            Notification.update({ id: shown, message });
          }
        };
        eachMinute(app, look);
      }
    };

    const versions = {
      id: 'coursehub-class:earlier-versions',
      autoStart: true,
      optional: [ICommandPalette, IMainMenu],
      activate: (app, palette, menu) => {
        app.commands.addCommand(VERSIONS, {
          label: 'Earlier Versions…',
          caption: 'Files as they were: open, compare, put back what is deleted or spoilt',
          execute: () => {
            window.open(URLExt.join(app.serviceManager.serverSettings.baseUrl, 'class/versions'), '_blank', 'noopener');
          }
        });
        palette?.addItem({ command: VERSIONS, category: 'File Operations' });
        menu?.fileMenu.addGroup([{ command: VERSIONS }], 90);
      }
    };

    class ExcelFactory extends ABCWidgetFactory {
      createNewWidget(context) {
        const node = document.createElement('div');
        const words = document.createElement('p');
        const code = document.createElement('pre');
        words.textContent =
          'Lab does not show Excel files. In a notebook, pandas reads them (if it asks for openpyxl: %pip install openpyxl). ' +
          'To see the file on your own computer: right-click it in the list on the left, then Download.';
        code.textContent = `import pandas as pd\npd.read_excel(${JSON.stringify(context.path.split('/').pop())})`;
        node.style.padding = '2em';
        node.append(words, code);
        return new DocumentWidget({ content: new Widget({ node }), context });
      }
    }

    const excel = {
      id: 'coursehub-class:excel',
      autoStart: true,
      activate: app => {
        const type = {
          name: 'coursehub-excel',
          displayName: 'Excel',
          extensions: ['.xlsx', '.xlsm', '.xls', '.ods'],
          mimeTypes: ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
          fileFormat: 'base64',
          contentType: 'file'
        };
        app.docRegistry.addFileType(type);
        app.docRegistry.addWidgetFactory(
          new ExcelFactory({
            name: 'How to Read Excel',
            modelName: 'base64',
            fileTypes: [type.name],
            defaultFor: [type.name],
            readOnly: true
          })
        );
      }
    };

    return [messages, own, disk, packages, idle, versions, excel];
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB['coursehub-class'] = {
    init: given => {
      scope = given;
    },
    get: async () => {
      const found = await plugins();
      return () => ({ __esModule: true, default: found });
    }
  };
})();
