include:
  - uv
  - jupyterhub.upgrade
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.work
  - jupyterhub.service
